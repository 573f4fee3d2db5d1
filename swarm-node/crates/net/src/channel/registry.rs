//! The jobs that a node has channels for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swarm_identity::PeerId;

use super::frame::JobId;
use super::job::Job;
use crate::limits::MAX_CHANNEL_JOBS;

/// Why a job is not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is there.
    Twice,
    /// There are as many as may be.
    Many,
}

/// Jobs by name; at most [`MAX_CHANNEL_JOBS`].
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<HashMap<JobId, Arc<Job>>>);

impl Registry {
    pub(crate) fn add(&self, job: Arc<Job>) -> Result<(), Taken> {
        let mut jobs = self.jobs();
        if jobs.contains_key(&job.id) {
            return Err(Taken::Twice);
        }
        if jobs.len() >= MAX_CHANNEL_JOBS {
            return Err(Taken::Many);
        }
        jobs.insert(job.id, job);
        Ok(())
    }

    pub(crate) fn remove(&self, id: &JobId) {
        self.jobs().remove(id);
    }

    pub(crate) fn get(&self, id: &JobId) -> Option<Arc<Job>> {
        self.jobs().get(id).cloned()
    }

    /// True if a peer is a member of any job.
    pub(crate) fn has_member(&self, peer: &PeerId) -> bool {
        let jobs = self.jobs();
        jobs.values().any(|job| job.member(peer).is_some())
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ChannelLimits;

    #[test]
    fn jobs_are_few_and_of_different_names() {
        let registry = Registry::default();
        let member = PeerId([2; 33]);
        let job = |id| Arc::new(Job::new([id; 32], [member], ChannelLimits::default()).0);
        for id in 0..MAX_CHANNEL_JOBS as u8 {
            assert_eq!(registry.add(job(id)), Ok(()));
            assert_eq!(registry.add(job(id)), Err(Taken::Twice));
        }
        assert_eq!(registry.add(job(99)), Err(Taken::Many));
        registry.remove(&[0; 32]);
        assert_eq!(registry.add(job(99)), Ok(()));
        assert!(registry.get(&[0; 32]).is_none() && registry.get(&[99; 32]).is_some());
        assert!(registry.has_member(&member) && !registry.has_member(&PeerId([3; 33])));
    }
}
