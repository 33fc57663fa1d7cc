//! The methods this server knows.

/// Who sends how many messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One each.
    Unary,
    /// The server many.
    ServerStream,
    /// Both many.
    BidiStream,
}

impl Kind {
    /// The value of the metric label `grpc_type`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ServerStream => "server_stream",
            Self::BidiStream => "bidi_stream",
        }
    }
}

macro_rules! methods {
    ($($method:ident: $service:literal $name:literal $kind:ident,)*) => {
        /// A method of a gRPC service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names are those of the services")]
        pub enum Method {
            $($method,)*
        }

        impl Method {
            /// All of them, in the order of their discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$method,)*];

            /// The method of a request path.
            pub fn find(path: &str) -> Option<Self> {
                match path {
                    $(concat!("/", $service, "/", $name) => Some(Self::$method),)*
                    _ => None,
                }
            }

            /// The service's full name.
            pub const fn service(self) -> &'static str {
                match self {
                    $(Self::$method => $service,)*
                }
            }

            /// The method's name inside its service.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$method => $name,)*
                }
            }

            /// Who sends how many messages.
            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$method => Kind::$kind,)*
                }
            }
        }
    };
}

methods! {
    Range: "etcdserverpb.KV" "Range" Unary,
    RangeStream: "etcdserverpb.KV" "RangeStream" ServerStream,
    Put: "etcdserverpb.KV" "Put" Unary,
    DeleteRange: "etcdserverpb.KV" "DeleteRange" Unary,
    Txn: "etcdserverpb.KV" "Txn" Unary,
    Compact: "etcdserverpb.KV" "Compact" Unary,
    Watch: "etcdserverpb.Watch" "Watch" BidiStream,
    LeaseGrant: "etcdserverpb.Lease" "LeaseGrant" Unary,
    LeaseRevoke: "etcdserverpb.Lease" "LeaseRevoke" Unary,
    LeaseKeepAlive: "etcdserverpb.Lease" "LeaseKeepAlive" BidiStream,
    LeaseTimeToLive: "etcdserverpb.Lease" "LeaseTimeToLive" Unary,
    LeaseLeases: "etcdserverpb.Lease" "LeaseLeases" Unary,
    MemberAdd: "etcdserverpb.Cluster" "MemberAdd" Unary,
    MemberRemove: "etcdserverpb.Cluster" "MemberRemove" Unary,
    MemberUpdate: "etcdserverpb.Cluster" "MemberUpdate" Unary,
    MemberList: "etcdserverpb.Cluster" "MemberList" Unary,
    MemberPromote: "etcdserverpb.Cluster" "MemberPromote" Unary,
    Alarm: "etcdserverpb.Maintenance" "Alarm" Unary,
    Status: "etcdserverpb.Maintenance" "Status" Unary,
    Defragment: "etcdserverpb.Maintenance" "Defragment" Unary,
    Hash: "etcdserverpb.Maintenance" "Hash" Unary,
    HashKv: "etcdserverpb.Maintenance" "HashKV" Unary,
    Snapshot: "etcdserverpb.Maintenance" "Snapshot" ServerStream,
    MoveLeader: "etcdserverpb.Maintenance" "MoveLeader" Unary,
    Downgrade: "etcdserverpb.Maintenance" "Downgrade" Unary,
    AuthEnable: "etcdserverpb.Auth" "AuthEnable" Unary,
    AuthDisable: "etcdserverpb.Auth" "AuthDisable" Unary,
    AuthStatus: "etcdserverpb.Auth" "AuthStatus" Unary,
    Authenticate: "etcdserverpb.Auth" "Authenticate" Unary,
    UserAdd: "etcdserverpb.Auth" "UserAdd" Unary,
    UserGet: "etcdserverpb.Auth" "UserGet" Unary,
    UserList: "etcdserverpb.Auth" "UserList" Unary,
    UserDelete: "etcdserverpb.Auth" "UserDelete" Unary,
    UserChangePassword: "etcdserverpb.Auth" "UserChangePassword" Unary,
    UserGrantRole: "etcdserverpb.Auth" "UserGrantRole" Unary,
    UserRevokeRole: "etcdserverpb.Auth" "UserRevokeRole" Unary,
    RoleAdd: "etcdserverpb.Auth" "RoleAdd" Unary,
    RoleGet: "etcdserverpb.Auth" "RoleGet" Unary,
    RoleList: "etcdserverpb.Auth" "RoleList" Unary,
    RoleDelete: "etcdserverpb.Auth" "RoleDelete" Unary,
    RoleGrantPermission: "etcdserverpb.Auth" "RoleGrantPermission" Unary,
    RoleRevokePermission: "etcdserverpb.Auth" "RoleRevokePermission" Unary,
    MemberReplace: "members.Members" "Replace" Unary,
    HealthCheck: "grpc.health.v1.Health" "Check" Unary,
    HealthWatch: "grpc.health.v1.Health" "Watch" ServerStream,
}

/// Who may call a method while auth is enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Everybody: nothing is told or changed that is anybody's own, or etcd 3.5.21 lets everybody do it.
    Open,
    /// Root, by the users and roles as this member knows them; looked at before the call is carried out.
    Root,
    /// Who may do what the request asks for; looked at when it is read or applied.
    Within,
}

impl Method {
    /// Who may call it. There is no other way in: a method that is not named here does not compile.
    pub const fn guard(self) -> Guard {
        match self {
            Self::Range
            | Self::RangeStream
            | Self::Put
            | Self::DeleteRange
            | Self::Txn
            | Self::Watch
            | Self::LeaseRevoke
            | Self::LeaseTimeToLive
            | Self::AuthEnable
            | Self::AuthDisable
            | Self::AuthStatus
            | Self::UserAdd
            | Self::UserGet
            | Self::UserList
            | Self::UserDelete
            | Self::UserChangePassword
            | Self::UserGrantRole
            | Self::UserRevokeRole
            | Self::RoleAdd
            | Self::RoleGet
            | Self::RoleList
            | Self::RoleDelete
            | Self::RoleGrantPermission
            | Self::RoleRevokePermission => Guard::Within,
            Self::MemberAdd
            | Self::MemberRemove
            | Self::MemberUpdate
            | Self::MemberPromote
            | Self::MemberReplace
            | Self::Defragment
            | Self::Hash
            | Self::HashKv
            | Self::Snapshot => Guard::Root,
            Self::Compact
            | Self::LeaseGrant
            | Self::LeaseKeepAlive
            | Self::LeaseLeases
            | Self::MemberList
            | Self::Alarm
            | Self::Status
            | Self::MoveLeader
            | Self::Downgrade
            | Self::Authenticate
            | Self::HealthCheck
            | Self::HealthWatch => Guard::Open,
        }
    }

    /// Whether any method of this service is known.
    pub fn has_service(service: &str) -> bool {
        Self::ALL.iter().any(|method| method.service() == service)
    }

    /// Whether the answer comes from the data of the member that is asked.
    pub const fn reads_data(self) -> bool {
        matches!(
            self,
            Self::Range
                | Self::RangeStream
                | Self::Txn
                | Self::Watch
                | Self::LeaseTimeToLive
                | Self::LeaseLeases
                | Self::Snapshot
        )
    }

    /// Whether it changes the cluster or who may use it, or takes all of its data away.
    pub const fn is_administrative(self) -> bool {
        matches!(
            self,
            Self::MemberAdd
                | Self::MemberRemove
                | Self::MemberUpdate
                | Self::MemberPromote
                | Self::MemberReplace
                | Self::MoveLeader
                | Self::Downgrade
                | Self::Defragment
                | Self::Snapshot
                | Self::AuthEnable
                | Self::AuthDisable
                | Self::UserAdd
                | Self::UserDelete
                | Self::UserChangePassword
                | Self::UserGrantRole
                | Self::UserRevokeRole
                | Self::RoleAdd
                | Self::RoleDelete
                | Self::RoleGrantPermission
                | Self::RoleRevokePermission
        )
    }

    /// Whether a member without a vote answers it.
    pub const fn is_for_learners(self) -> bool {
        // A range is decided by its request: only serializable ones.
        matches!(self, Self::Range | Self::Status | Self::Snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_found_by_their_paths() {
        for (place, method) in Method::ALL.iter().enumerate() {
            let path = format!("/{}/{}", method.service(), method.name());
            assert_eq!(Method::find(&path), Some(*method));
            assert_eq!(*method as usize, place);
        }
        assert_eq!(Method::find("/etcdserverpb.KV/Rang"), None);
        assert!(Method::has_service("etcdserverpb.KV") && !Method::has_service("etcdserverpb"));
    }
}
