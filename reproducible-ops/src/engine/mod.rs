//! Engines: the machines that execute a program, each bit-equal to the scalar definition.

pub mod cpu;
