//! Clusters of several members: what they do together, how they change, what they survive.

mod behaviour;
mod checkpoints;
mod corruption;
mod faults;
mod linearizability;
mod membership;
mod metrics;
mod peer_port;
mod peer_tls;
mod tutorial;
