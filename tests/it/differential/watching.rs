//! The steps of a player that are about watchers.

use etcd::proto::etcdserverpb::PutRequest;

use super::answers;
use super::excluded;
use super::generate::DISTANT;
use super::player::{Halt, Player};
use super::step::{Action, Watch, Watcher};
use super::stream::Stream;

impl Player {
    pub(super) async fn act_on_watch(&mut self, action: Action) -> Result<(), Halt> {
        match action {
            Action::Watch(request) => self.watch(request).await,
            Action::Cancel(watcher) => self.cancel(&watcher).await,
            Action::IdleProgress(number) => match self.streams.get_mut(&number) {
                Some(stream) if stream.watchers.is_empty() => stream.idle_progress().await,
                _ => Ok(()),
            },
            Action::Close(number) => {
                self.settle().await?;
                self.drop_stream(number);
                Ok(())
            }
            Action::Settle(()) => self.settle().await,
            Action::Pause(number) => {
                if let Some(stream) = self.streams.get_mut(&number) {
                    stream.pause();
                }
                Ok(())
            }
            other => Err(Halt::Stuck(format!("no step about watchers: {other:?}"))),
        }
    }

    async fn watch(&mut self, request: Watch) -> Result<(), Halt> {
        let Some(mut create) = request.create else { return Ok(()) };
        create.start_revision = self.revisions.resolve(create.start_revision);
        let (start, compacted) = (create.start_revision, self.revisions.compacted);
        if excluded::loses_events(&create, compacted) {
            self.leave_out("a watcher from revision -1");
            return Ok(());
        }
        let client = &self.session;
        let stream = self
            .streams
            .entry(request.stream)
            .or_insert_with(|| Stream::open(client.watch_client()));
        let mut answer = stream.create(create).await?;
        let id = answer.watch_id;
        let mut texts = vec![answers::text(&mut answer)];
        if !answer.canceled && start != 0 && start < compacted {
            texts.push(answers::text(&mut stream.canceled(id).await?));
            if let Some(watcher) = stream.watchers.get_mut(&id) {
                watcher.ended = true;
            }
        }
        texts.into_iter().for_each(|text| self.note(text));
        Ok(())
    }

    /// Cancels when all watchers are up to date: etcd may drop events that are still queued.
    async fn cancel(&mut self, watcher: &Watcher) -> Result<(), Halt> {
        self.settle().await?;
        self.cancel_now(watcher.stream, watcher.id).await
    }

    async fn cancel_now(&mut self, number: u32, id: i64) -> Result<(), Halt> {
        let Some(stream) = self.streams.get_mut(&number) else { return Ok(()) };
        let answer = stream.cancel(id).await?;
        if let Some(mut answer) = answer {
            self.note(answers::text(&mut answer));
        }
        Ok(())
    }

    /// Brings every watcher up to date and writes down its events. Watchers that a compaction ended are
    /// canceled first, because etcd answers no progress request while their client has not done so; and
    /// revisions are written until no watcher waits for a future one, see [`DISTANT`].
    pub(super) async fn settle(&mut self) -> Result<(), Halt> {
        let ended: Vec<(u32, i64)> = self
            .streams
            .iter()
            .flat_map(|(number, stream)| stream.watchers.iter().map(|it| (*number, it)))
            .filter(|(_, (_, watcher))| watcher.ended)
            .map(|(number, (id, _))| (number, *id))
            .collect();
        for (number, id) in ended {
            self.cancel_now(number, id).await?;
        }
        let near = self.streams.iter().filter(|(number, _)| **number != DISTANT);
        let starts = near.flat_map(|(_, stream)| stream.watchers.values());
        let awaited = starts.map(|it| it.request.start_revision).max().unwrap_or(0);
        while self.revisions.newest + 1 < awaited {
            let before = self.revisions.newest;
            self.put(PutRequest { key: "onward".into(), ..PutRequest::default() }).await;
            if self.revisions.newest == before {
                return Err(Halt::Stuck("a put made no revision".to_owned()));
            }
        }
        let newest = self.revisions.newest;
        for (number, stream) in &mut self.streams {
            if *number != DISTANT {
                stream.settle(newest).await?;
            }
        }
        self.note_events();
        Ok(())
    }

    fn note_events(&mut self) {
        let mut texts = Vec::new();
        for (number, stream) in &mut self.streams {
            for (id, watcher) in &mut stream.watchers {
                let events = watcher.drain().into_iter();
                texts.extend(events.map(|event| format!("stream {number} watcher {id}: {event}")));
            }
        }
        self.played.events += texts.len();
        texts.into_iter().for_each(|text| self.note(text));
    }

    /// Cancels the watchers whose revision never came: they have had no event.
    pub(super) async fn cancel_distant(&mut self) -> Result<(), Halt> {
        let distant = self.streams.get(&DISTANT).map(|stream| stream.watchers.keys());
        let distant: Vec<i64> = distant.into_iter().flatten().copied().collect();
        for id in distant {
            self.cancel_now(DISTANT, id).await?;
        }
        self.note_events();
        Ok(())
    }

    /// Closes all streams.
    pub(super) fn drop_streams(&mut self) {
        let numbers: Vec<u32> = self.streams.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.drop_stream(number));
    }

    fn drop_stream(&mut self, number: u32) {
        if let Some(mut stream) = self.streams.remove(&number) {
            self.played.faults.append(&mut stream.faults);
        }
    }
}
