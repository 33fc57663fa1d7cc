//! `etcd cert init --if-needed`: what the service runs before each start. It makes what the server's
//! settings lead to and nobody made, and leaves everything else alone.

use std::path::{Path, PathBuf};

use super::{Config, Context, FIRST_CLIENT, Refusal, Report, Words, config};
use crate::certs::{Layout, Lives, Pki, Purpose};
use crate::config::{ClusterState, Tls};

pub(super) fn run(words: &Words, context: &Context) -> Result<Report, Refusal> {
    let mut flags: Vec<_> = words.rest.iter().map(Into::into).collect();
    flags.extend(words.get("pki-dir").map(|dir| format!("--pki-dir={dir}").into()));
    let loaded = config::load(&flags, context.env.iter().cloned()).map_err(Refusal::Ended)?;
    let config = loaded.config;
    let mut report = Report::default();
    report.set("changed", false.into());
    let Some(dir) = &config.pki_dir else { return Ok(report) };
    let layout = Layout::of(&super::context::absolute(&dir.display().to_string())?);
    let missing = missing(&config, layout.dir());
    // Without the authorities' keys nothing can be made: this machine joined, or was given its files. The
    // server says which one it misses.
    let joined = layout.root().exists() && !layout.ca_dir().exists();
    if missing.is_empty() || joined {
        return Ok(report);
    }
    let shown = layout.dir().display().to_string();
    // An authority of its own for each would keep the members apart for ever.
    let cluster = &config.cluster;
    let is_alone = cluster.initial_members.len() < 2;
    if !is_alone || cluster.initial_cluster_state == ClusterState::Existing {
        return Err(Refusal::Failed(format!(
            "this member has others, and {shown} has no certificates of their authority: make them \
             where that is (`etcd cert issue`, then copy nodes/NAME here), or run `etcd cert join TOKEN`; \
             where there is none yet, `etcd cert init` makes one"
        )));
    }
    let pki = Pki::create(layout, super::context::owner(words)?, context.now).map_err(|error| {
        Refusal::Failed(format!(
            "{error}; the directory has to belong to the user of the service: \
             install -d -o etcd -g etcd -m 0750 {shown}"
        ))
    })?;
    let steps = super::make(&pki, &config, words, Lives::default(), &mut report)?;
    report.steps(&steps);
    let admin = pki.layout().pair(Purpose::Client, FIRST_CLIENT).certificate;
    report.say(format!(
        "\nmade an authority and certificates for this machine, as nothing named any; etcdctl uses {}",
        admin.display()
    ));
    Ok(report)
}

/// Files in the directory that the server would read and that are not there.
fn missing(config: &Config, dir: &Path) -> Vec<PathBuf> {
    let files = [&config.client_tls, &config.peer_tls].into_iter().flat_map(Tls::files);
    files.filter(|file| file.starts_with(dir) && !file.exists()).cloned().collect()
}
