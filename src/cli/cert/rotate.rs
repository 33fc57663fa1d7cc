//! `etcd cert rotate-ca`: other authorities, and nobody notices.

use std::time::Duration;

use serde_json::json;

use super::args::Words;
use super::context::{self, Context, dir_flag, moment};
use super::report::{Refusal, Report};
use crate::certs::{
    Action, Facts, Layout, Lives, Phase, Pki, Side, Step, Trusted, read, write_all,
};
use crate::enrol::{Cluster, Known, Reports, ensure_own, is_of_other};
use crate::transport::sha256;
use crate::types::clock::Clock;
use crate::types::hex::hex;

/// How long to wait for the members unless it is said.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// How often to look.
const PAUSE: Duration = Duration::from_secs(1);
/// What to do when a replacement has ended.
const KEEP: &str = "keep a copy of the root's key in a safe place, as after `etcd cert init`";

pub(super) fn run(words: &Words, context: &Context) -> Result<Report, Refusal> {
    let [verb] = words.rest.as_slice() else {
        return Err(Refusal::Misuse("say what to do: start, status, finish or abort".to_owned()));
    };
    let job = Job::of(words, context)?;
    match verb.as_str() {
        "start" => job.start(words),
        "status" => job.status(),
        "finish" => job.finish(),
        "abort" => job.abort(),
        other => {
            let hint = "there are start, status, finish and abort";
            Err(Refusal::Misuse(format!("{other:?} is not known; {hint}")))
        }
    }
}

/// What a command works on.
struct Job {
    layout: Layout,
    cluster: Cluster,
    patience: Duration,
    force: bool,
}

/// One member, and what keeps the command from going on.
struct Seen {
    id: u64,
    name: String,
    generation: Option<u64>,
    wants: Option<String>,
}

/// Everything that has to be known to go on.
struct View {
    trusted: Trusted,
    members: Result<Vec<Seen>, String>,
    outstanding: Vec<Facts>,
}

impl Job {
    fn of(words: &Words, context: &Context) -> Result<Self, Refusal> {
        let layout = context::layout(words)?;
        let mut endpoints = words.list("endpoints");
        if endpoints.is_empty() {
            endpoints.push("https://127.0.0.1:2379".to_owned());
        }
        // Made by the issuer as a rule, which may not have run yet.
        ensure_own(&Pki::open(layout.clone(), context.now)?)?;
        let patience = words.pause("timeout", PATIENCE)?;
        let (cluster, force) = (Cluster::of(&layout, endpoints), words.on("force"));
        Ok(Self { layout, cluster, patience, force })
    }

    /// The directory; the lock is held no longer than a look takes, because the issuer needs it.
    fn open(&self) -> Result<Pki, Refusal> {
        Ok(Pki::open(self.layout.clone(), Clock.unix())?)
    }

    fn start(&self, words: &Words) -> Result<Report, Refusal> {
        let life = words.life("ca-ttl").map_err(Refusal::Misuse)?;
        let life = life.unwrap_or(Lives::default().authority);
        let mut steps = {
            let pki = self.open()?;
            pki.start_rotation(life)?;
            publish(&pki)?
        };
        let trusted = self.open()?.trusted()?;
        if trusted.phase == Phase::Trusting {
            self.wait("trust the new authorities", |view| view.missing(false))?;
            let pki = self.open()?;
            pki.sign_with(true)?;
            steps.extend(publish(&pki)?);
            steps.extend(reissue(&pki)?);
        }
        let mut report = Report::default();
        report.steps(&last_of_each(steps));
        let trusted = self.open()?.trusted()?;
        report.say(format!(
            "\nThe new authorities sign from now on (generation {}).",
            trusted.generation
        ));
        report.set("phase", trusted.phase.as_str().into());
        report.set("generation", trusted.generation.into());
        let dir = dir_flag(&self.layout);
        report.next(&[
            "members renew their certificates by themselves now; bring the new files to clients that \
             use a copy of those above, and the new ca.crt to all clients, whenever it suits"
                .to_owned(),
            format!("see what is left: etcd cert rotate-ca status{dir}"),
            format!("then drop the old authorities: etcd cert rotate-ca finish{dir}"),
        ]);
        Ok(report)
    }

    fn finish(&self) -> Result<Report, Refusal> {
        let trusted = self.open()?.trusted()?;
        match trusted.phase {
            Phase::Settled => return self.settled(),
            Phase::Trusting => {
                let hint = "`etcd cert rotate-ca start` goes on with it, `abort` gives it up";
                return Err(Refusal::Failed(format!(
                    "the old authorities still sign, so they cannot be dropped; {hint}"
                )));
            }
            Phase::Reissuing => {
                self.wait("be done with the old authorities", |view| view.missing(true))?;
            }
            Phase::Finishing => {}
        }
        self.end("The old authorities are trusted no more, and their keys are gone", KEEP)
    }

    fn abort(&self) -> Result<Report, Refusal> {
        let trusted = self.open()?.trusted()?;
        match trusted.phase {
            Phase::Settled => return self.settled(),
            Phase::Finishing => {
                let hint = "it has to be finished: etcd cert rotate-ca finish";
                return Err(Refusal::Failed(format!(
                    "the old authorities are gone already; {hint}"
                )));
            }
            Phase::Trusting => {}
            Phase::Reissuing => {
                let pki = self.open()?;
                pki.sign_with(false)?;
                publish(&pki)?;
                reissue(&pki)?;
            }
        }
        self.wait("be done with the new authorities", View::shows_others)?;
        self.end("The new authorities were given up, and their keys are gone", KEEP)
    }

    /// What was asked for is so already, as after an earlier run of the same command, which may have been
    /// interrupted.
    fn settled(&self) -> Result<Report, Refusal> {
        let next = "begin a replacement: etcd cert rotate-ca start";
        self.end("No authority is being replaced", next)
    }

    fn end(&self, done: &str, next: &str) -> Result<Report, Refusal> {
        let pki = self.open()?;
        let own = pki.layout();
        let mut before = vec![(own.root(), read(&own.root())?)];
        for side in Side::ALL {
            for path in [own.authority(side), own.revocations(side)] {
                let text = read(&path)?;
                before.push((path, text));
            }
        }
        let trusted = pki.end_rotation()?;
        let mut steps = publish(&pki)?;
        for (path, text) in before {
            let step = steps.iter_mut().find(|step| step.path == path);
            // What ended the replacement has written these already.
            if let Some(step) = step.filter(|step| step.action == Action::Kept)
                && read(&path)? != text
            {
                step.action = Action::Replaced;
            }
        }
        let mut report = Report::default();
        report.steps(&last_of_each(steps));
        report.say(format!("\n{done} (generation {}).", trusted.generation));
        report.set("phase", trusted.phase.as_str().into());
        report.set("generation", trusted.generation.into());
        report.next(&[next.to_owned()]);
        Ok(report)
    }

    fn status(&self) -> Result<Report, Refusal> {
        let view = self.look()?;
        let mut report = Report::default();
        let Trusted { generation, phase } = view.trusted;
        let told = match phase {
            Phase::Settled => "no authority is being replaced",
            Phase::Trusting => "old and new authorities are trusted, the old ones sign",
            Phase::Reissuing => "old and new authorities are trusted, the new ones sign",
            Phase::Finishing => "the new authorities are being put in the place of the old ones",
        };
        report.say(format!("{told} (generation {generation})"));
        report.set("phase", phase.as_str().into());
        report.set("generation", generation.into());
        let mut members = Vec::new();
        for seen in view.members.iter().flatten() {
            let state = seen.wants.clone().unwrap_or_else(|| "ready".to_owned());
            report.say(format!("  member {:x} {:?}: {state}", seen.id, seen.name));
            let goes_by = seen.generation;
            let id = format!("{:x}", seen.id);
            members
                .push(json!({"id": id, "name": seen.name, "generation": goes_by, "state": state}));
        }
        report.set("members", members.into());
        if let Err(error) = &view.members {
            report.warn(format!("the members are not known: {error}"));
        }
        for facts in &view.outstanding {
            report.say(format!("  to be made anew: {}", describe(facts)));
        }
        let serials: Vec<_> = view.outstanding.iter().map(|facts| hex(&facts.serial)).collect();
        report.set("outstanding", serials.into());
        Ok(report)
    }

    /// Waits until nothing is missing; when that takes too long, `--force` goes on all the same.
    fn wait(&self, what: &str, missing: impl Fn(&View) -> Vec<String>) -> Result<(), Refusal> {
        let deadline = Clock.now() + self.patience;
        let mut said = Vec::new();
        loop {
            let missing = missing(&self.look()?);
            if missing.is_empty() {
                return Ok(());
            }
            if Clock.now() >= deadline {
                let list = missing.join("\n  ");
                if self.force {
                    eprintln!("going on without what is missing:\n  {list}");
                    return Ok(());
                }
                return Err(Refusal::Failed(format!(
                    "not everybody is known to {what}:\n  {list}\nmend that and repeat the command; \
                     --timeout waits longer, --force leaves behind what is missing"
                )));
            }
            if missing != said {
                eprintln!("waiting for:\n  {}", missing.join("\n  "));
                said = missing;
            }
            context::block_on(async { tokio::time::sleep(PAUSE).await })?;
        }
    }

    fn look(&self) -> Result<View, Refusal> {
        let members = context::block_on(self.cluster.members())?;
        let pki = self.open()?;
        let trusted = pki.trusted()?;
        let reports = Reports::beside(&self.layout.ca_dir());
        let mut seen = Vec::new();
        let members = match members {
            Ok(members) => members,
            Err(error) => {
                let (outstanding, members) = (pki.outstanding()?, Err(error.to_string()));
                return Ok(View { trusted, members, outstanding });
            }
        };
        for (id, name) in members {
            let report = reports.of(id)?;
            let generation = report.as_ref().map(|report| report.generation);
            let mut wants = match generation {
                None => Some(
                    "has not reported; `etcd cert serve` must run, and its issuer.json name it"
                        .to_owned(),
                ),
                Some(found) if found != trusted.generation => {
                    Some(format!("goes by generation {found}, not {}", trusted.generation))
                }
                Some(_) => None,
            };
            for serial in report.iter().flat_map(|report| &report.certificates) {
                if !is_of_signing(&pki, serial)? {
                    wants = Some(format!("still shows certificate {serial}"));
                }
            }
            seen.push(Seen { id, name, generation, wants });
        }
        Ok(View { trusted, members: Ok(seen), outstanding: pki.outstanding()? })
    }
}

impl View {
    /// What keeps a replacement from going on.
    fn missing(&self, with_certificates: bool) -> Vec<String> {
        let mut missing = match &self.members {
            Err(error) => vec![format!("the members are not known: {error}")],
            Ok(seen) => seen.iter().filter_map(Seen::missing).collect(),
        };
        if with_certificates {
            missing.extend(self.outstanding.iter().map(describe));
        }
        missing
    }

    /// What would be shut out.
    fn shows_others(&self) -> Vec<String> {
        let shows = |seen: &&Seen| seen.wants.as_ref().is_some_and(|text| text.contains("shows"));
        let members = self.members.iter().flatten().filter(shows).filter_map(Seen::missing);
        members.chain(self.outstanding.iter().map(describe)).collect()
    }
}

impl Seen {
    fn missing(&self) -> Option<String> {
        let wants = self.wants.as_ref()?;
        Some(format!("member {:x} {:?}: {wants}", self.id, self.name))
    }
}

fn describe(facts: &Facts) -> String {
    let (serial, until) = (hex(&facts.serial), moment(facts.not_after));
    format!("certificate {serial} of {:?}, until {until}", facts.common_name)
}

/// Whether the certificate with this serial number, in hex, is of those that sign now.
fn is_of_signing(pki: &Pki, serial: &str) -> Result<bool, Refusal> {
    let path = pki.layout().issued_dir().join(format!("{serial}.crt"));
    let Some(text) = read(&path)? else { return Ok(false) };
    let facts = Facts::from_pem(&path.display().to_string(), &text)?;
    Ok(facts.first().is_some_and(|facts| pki.is_of_signing(facts).unwrap_or_default()))
}

/// Writes whom to trust where this machine looks, the issuer's pin included. Before anybody can be told
/// of it, the issuer has a certificate that leads there.
fn publish(pki: &Pki) -> Result<Vec<Step>, Refusal> {
    ensure_own(pki)?;
    let mut steps = pki.publish()?;
    let path = pki.layout().issuer();
    if let Some(known) = Known::read(&path)? {
        let roots = Facts::from_pem("the root", &pki.roots()?)?;
        let root = roots.first().map(|facts| sha256(&facts.spki)).unwrap_or_default();
        let generation = pki.trusted()?.generation;
        let new = Known { issuers: known.issuers.clone(), root, generation };
        let action = if new == known { Action::Kept } else { Action::Replaced };
        write_all(&[new.file(&path, pki.owner())])?;
        let what = "where certificates are renewed".to_owned();
        steps.push(Step { path, action, what });
    }
    Ok(steps)
}

/// Makes anew what lies here for clients and other machines; a running server renews its own.
fn reissue(pki: &Pki) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    for (stem, files) in pki.layout().leaves() {
        let facts = context::certificates(&files.certificate)?;
        let old = facts.first().is_some_and(|facts| is_of_other(&files, facts));
        if old && stem.contains('/') {
            steps.extend(pki.renew(&files, &[], None)?);
        }
    }
    Ok(steps)
}

/// Of several steps with one file the one that says most: a change, if there was any.
fn last_of_each(steps: Vec<Step>) -> Vec<Step> {
    let mut found: Vec<Step> = Vec::new();
    for step in steps {
        match found.iter_mut().find(|known| known.path == step.path) {
            Some(known) if step.action != Action::Kept => *known = step,
            Some(_) => {}
            None => found.push(step),
        }
    }
    found
}
