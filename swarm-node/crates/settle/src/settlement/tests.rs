//! Many settlers on a model of the contract, through every turn that a chain, a network and hostile
//! members can take.

mod attacks;
mod model;
mod refusals;
mod settling;
mod world;
