//! Users, roles and tokens: the same questions to real etcd and to ours, and what only ours can be asked.

mod ask;
mod certificate;
mod cluster;
mod jwt;
mod lasting;
mod rights;
mod rules;
mod stricter;
