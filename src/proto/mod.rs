//! Generated messages and services: etcd's client API and the project's own internal formats.
//! Nothing here has behaviour, but that secrets are not printed; the `.proto` files beside this module are
//! the source.
#![expect(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated code: documented by the .proto files and by etcd's API pages"
)]

mod secrets;

/// Stored keys and events.
pub mod mvccpb {
    tonic::include_proto!("mvccpb");
}
/// Users, roles, permissions.
pub mod authpb {
    tonic::include_proto!("authpb");
}
/// The client API.
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}
/// Locks.
pub mod v3lockpb {
    tonic::include_proto!("v3lockpb");
}
/// Elections.
pub mod v3electionpb {
    tonic::include_proto!("v3electionpb");
}
/// Log entries and stored records of our own.
pub mod internal {
    tonic::include_proto!("internal");
}
/// What clients may ask beside etcd's API.
pub mod members {
    tonic::include_proto!("members");
}
/// What members say to each other.
pub mod peer {
    tonic::include_proto!("peer");
}
/// How members pass revocation lists on.
pub mod revocation {
    tonic::include_proto!("revocation");
}
/// The standard gRPC health service.
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}
/// How a machine gets its certificates.
pub mod enrol {
    tonic::include_proto!("enrol");
}
