//! What the HTTP face asks of the member.

use std::sync::Arc;
use std::time::Duration;

use super::backend::Backend;
use super::http::Facts;
use super::status;
use crate::proto::etcdserverpb::{AlarmType, RangeRequest};
use crate::storage::space::Room;
use crate::telemetry::metrics::Registry;
use crate::tokens::Provider;
use crate::transport::Credentials;

impl Facts for Arc<Backend> {
    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn cluster_version(&self) -> Option<String> {
        self.reader.members().cluster_version().map(str::to_owned)
    }

    fn alarms(&self) -> Vec<AlarmType> {
        let raised = self.reader.alarms().list(AlarmType::None);
        let full = (self.disk.room() < Room::Ample).then_some(AlarmType::Nospace);
        full.into_iter().chain(raised.iter().map(|alarm| alarm.alarm())).collect()
    }

    fn slow_disk(&self) -> Option<Duration> {
        self.disk.slow()
    }

    fn refused_files(&self) -> Vec<String> {
        let keys = match &self.provider {
            Provider::Jwt(keys) => keys.fault(),
            Provider::Simple(_) | Provider::Nothing => None,
        };
        let certificates = self.passing.credentials().iter().filter_map(Credentials::fault);
        certificates.chain(keys).collect()
    }

    fn has_leader(&self) -> bool {
        self.node.status().leader.is_some()
    }

    async fn read(&self, linearizable: bool) -> Result<(), String> {
        let limit = self.limits.request_timeout();
        if linearizable {
            tokio::time::timeout(limit, self.linear.read_index())
                .await
                .map_err(|_| "context deadline exceeded".to_owned())?
                .map_err(|error| status::of_linear(error).message().to_owned())?;
        }
        let smallest =
            RangeRequest { key: "\0".into(), limit: 1, keys_only: true, ..RangeRequest::default() };
        self.reader.range(&smallest).map(drop).map_err(|error| error.to_string())
    }

    fn raft_status(&self) -> serde_json::Value {
        let status = self.node.status();
        let leader = status.leader.map_or_else(|| "0".to_owned(), |id| id.to_string());
        let state = if status.is_leader { "StateLeader" } else { "StateFollower" };
        let mut progress = serde_json::Map::new();
        if status.is_leader {
            let own = (self.member, status.committed);
            for (member, matched) in self.node.replicated().into_iter().chain([own]) {
                let state = if matched == 0 { "StateProbe" } else { "StateReplicate" };
                let told = serde_json::json!({
                    "match": matched,
                    "next": matched + 1,
                    "state": state,
                });
                progress.insert(member.to_string(), told);
            }
        }
        serde_json::json!({
            "id": self.member.to_string(),
            "term": status.term,
            "vote": leader,
            "commit": status.committed,
            "lead": leader,
            "raftState": state,
            "applied": status.applied,
            "progress": progress,
            "leadtransferee": "0",
        })
    }
}
