//! The steps of a player that are about leases, and that some of them run out.

use std::time::Duration;

use etcd::proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};

use super::player::{Halt, PATIENCE, Player};
use super::step::{Action, Lapse};

/// A lease that lives for a second must be set up well within it; else it might run out in between.
const IN_TIME: Duration = Duration::from_millis(700);
/// Pause between two looks whether a lease is gone.
const LOOK: Duration = Duration::from_millis(20);
/// Seconds a machine may take between a grant and a question about it.
const SLACK: i64 = 300;

impl Player {
    pub(super) async fn act_on_lease(&mut self, action: Action) -> Result<(), Halt> {
        match action {
            Action::Grant(request) => {
                self.grant(request).await;
            }
            Action::Brief(request) => self.brief(request).await?,
            Action::Revoke(request) => self.revoke(request.id).await,
            Action::KeepAlive(ids) => self.keep_alive(ids.ids).await?,
            Action::TimeToLive(request) => self.time_to_live(request).await,
            Action::Leases(()) => self.leases().await,
            Action::Lapse(lapse) => self.lapse(lapse).await?,
            other => return Err(Halt::Stuck(format!("no step about leases: {other:?}"))),
        }
        Ok(())
    }

    /// Grants a lease; true if that succeeded.
    async fn grant(&mut self, request: LeaseGrantRequest) -> bool {
        let answer = self.session.lease.lease_grant(request).await;
        self.keep(answer).is_some()
    }

    async fn revoke(&mut self, id: i64) {
        let answer = self.session.lease.lease_revoke(LeaseRevokeRequest { id }).await;
        self.keep(answer);
    }

    async fn brief(&mut self, request: LeaseGrantRequest) -> Result<(), Halt> {
        let begun = self.clock.now();
        let mut answer = self.session.lease.lease_grant(request).await;
        let mut id = request.id;
        if let Ok(answer) = &mut answer {
            let answer = answer.get_mut();
            id = answer.id;
            if request.id == 0 {
                // The server chose it.
                answer.id = answer.id.signum();
            }
        }
        self.keep(answer);
        self.revoke(id).await;
        if self.clock.now() - begun > IN_TIME {
            return Err(Halt::Void("a brief lease was revoked too late".to_owned()));
        }
        Ok(())
    }

    async fn keep_alive(&mut self, ids: Vec<i64>) -> Result<(), Halt> {
        let answers = ids.len();
        let requests = tokio_stream::iter(ids.into_iter().map(|id| LeaseKeepAliveRequest { id }));
        let stuck = |what: &str| Halt::Stuck(format!("keep alive: {what}"));
        let call = self.session.lease.lease_keep_alive(requests);
        let called = tokio::time::timeout(PATIENCE, call).await;
        let stream = called.map_err(|_| stuck("no stream"))?;
        let mut stream = stream.map_err(|status| stuck(&status.to_string()))?.into_inner();
        for _ in 0..answers {
            let answer = tokio::time::timeout(PATIENCE, stream.message()).await;
            let answer = answer.map_err(|_| stuck("no answer"))?;
            let answer =
                answer.and_then(|it| it.ok_or(tonic::Status::internal("the stream ended")));
            self.keep(answer.map(tonic::Response::new));
        }
        Ok(())
    }

    async fn ask(
        &mut self,
        request: LeaseTimeToLiveRequest,
    ) -> Result<tonic::Response<LeaseTimeToLiveResponse>, tonic::Status> {
        self.session.lease.lease_time_to_live(request).await
    }

    /// The seconds left are compared only as far as they are not a matter of when one asks; the keys
    /// come in no promised order.
    async fn time_to_live(&mut self, request: LeaseTimeToLiveRequest) {
        let mut answer = self.ask(request).await;
        if let Ok(answer) = &mut answer {
            let answer = answer.get_mut();
            let oldest = (answer.granted_ttl - SLACK).max(0);
            if (oldest..=answer.granted_ttl + 1).contains(&answer.ttl) {
                answer.ttl = answer.granted_ttl;
            }
            answer.keys.sort();
        }
        self.keep(answer);
    }

    /// etcd sorts by the time left, which for leases of one age is no order.
    async fn leases(&mut self) {
        let mut answer = self.session.lease.lease_leases(LeaseLeasesRequest {}).await;
        if let Ok(answer) = &mut answer {
            answer.get_mut().leases.sort_by_key(|lease| lease.id);
        }
        self.keep(answer);
    }

    /// Lets a lease run out. Nothing else is written meanwhile, so that the revision it makes is the
    /// same whenever it comes.
    async fn lapse(&mut self, lapse: Lapse) -> Result<(), Halt> {
        let Some(grant) = lapse.grant else { return Ok(()) };
        self.make_sure().await;
        self.settle().await?;
        let begun = self.clock.now();
        if !self.grant(grant).await {
            return Ok(());
        }
        for put in lapse.puts {
            self.put(put).await;
        }
        self.time_to_live(LeaseTimeToLiveRequest { id: grant.id, keys: true }).await;
        if lapse.renew {
            self.keep_alive(vec![grant.id]).await?;
        }
        if self.clock.now() - begun > IN_TIME {
            return Err(Halt::Void("a lease that was to run out was set up too late".to_owned()));
        }
        if let Some(how) = &lapse.restart {
            self.restart(how).await?;
        }
        self.await_end(grant.id).await?;
        self.everything().await;
        self.settle().await
    }

    async fn await_end(&mut self, id: i64) -> Result<(), Halt> {
        let begun = self.clock.now();
        loop {
            let answer = self.ask(LeaseTimeToLiveRequest { id, keys: false }).await;
            match answer.map(|answer| answer.into_inner().granted_ttl) {
                Ok(0) => return Ok(()),
                Ok(_) if self.clock.now() - begun < PATIENCE => tokio::time::sleep(LOOK).await,
                Ok(_) => return Err(Halt::Stuck(format!("lease {id} does not run out"))),
                Err(status) => return Err(Halt::Stuck(format!("lease {id}: {status:?}"))),
            }
        }
    }
}
