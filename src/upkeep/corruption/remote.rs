//! Telling other members the hashes of what this one holds.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tonic::{Request, Response, Status};

use crate::consensus::PeerService;
use crate::proto::peer::checks_server;
use crate::proto::peer::{AppliedHashAnswer, AppliedHashQuestion, KvHashAnswer, KvHashQuestion};
use crate::state::{AppliedHash, ReadError, Reader};

/// Answers the other members.
pub struct CheckService {
    reader: Reader,
    peers: PeerService,
    /// A hash over everything occupies a thread and the disk: one at a time.
    turn: Arc<Semaphore>,
}

impl CheckService {
    pub(super) fn new(reader: Reader, peers: PeerService) -> Self {
        Self { reader, peers, turn: Arc::new(Semaphore::new(1)) }
    }
}

#[tonic::async_trait]
impl checks_server::Checks for CheckService {
    async fn applied_hash(
        &self,
        request: Request<AppliedHashQuestion>,
    ) -> Result<Response<AppliedHashAnswer>, Status> {
        self.peers.admit(&request)?;
        let newest = self.reader.applied_hash();
        let known = match request.get_ref().index {
            0 => Some(newest),
            index => self.reader.applied_hash_at(index),
        };
        let AppliedHash { applied, since, hash } = known.unwrap_or(newest);
        Ok(Response::new(AppliedHashAnswer {
            unknown: known.is_none(),
            index: applied,
            since,
            hash,
            revision: self.reader.revision(),
        }))
    }

    async fn kv_hash(
        &self,
        request: Request<KvHashQuestion>,
    ) -> Result<Response<KvHashAnswer>, Status> {
        self.peers.admit(&request)?;
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let (reader, revision) = (self.reader.clone(), request.get_ref().revision);
        let hashed = spawn_blocking(move || {
            // Held until the work is done, whether or not anybody still waits for it.
            let _turn = turn;
            reader.hash_kv(revision)
        });
        let unknown = KvHashAnswer { unknown: true, ..KvHashAnswer::default() };
        match hashed.await.map_err(|error| Status::internal(error.to_string()))? {
            Ok(hashed) => {
                let (hash, compacted) = (hashed.hash, hashed.compacted);
                Ok(Response::new(KvHashAnswer { unknown: false, hash, compacted }))
            }
            Err(ReadError::FutureRevision | ReadError::Compacted) => Ok(Response::new(unknown)),
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }
}
