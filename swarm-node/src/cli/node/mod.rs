//! The commands around a running node: what makes it, runs it, looks at it and tells it what to do.

mod control;
mod doctor;
mod home;
mod init;
mod key;
mod log;
mod round;
mod status;
mod swarm;
mod up;

pub(super) use control::{Drain, Pause, Resume};
pub(super) use doctor::Doctor;
pub(super) use init::Init;
pub(super) use key::KeyCommand;
pub(super) use log::Logs;
pub(super) use round::{Export, Verify};
pub(super) use status::{Peers, StatusCommand};
pub(super) use swarm::SwarmCommand;
pub(super) use up::Up;
