//! What the command line asks for.

use std::path::PathBuf;
use std::time::Duration;

const USAGE: &str = "\
usage: cargo bench --bench compare -- [OPTIONS]
  --reference DIR    the folder of real etcd and etcdctl; else ETCD_REFERENCE_DIR
  --seconds N        length of one measurement (4)
  --rounds N         how often etcd and ours take turns; the median counts (3)
  --only TEXT        only what has TEXT in its name; may be given several times
  --keys N,N         sizes of the big loads (1000000,5000000)
  --tls | --plain    only with mutual TLS, or only without; else both
  --quick            everything once, short and small: that it runs, not how fast
  --markdown FILE    write the report there, and its plot to benches/NAME.svg beside it";

/// How large the parts are.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    /// Keys of each big load.
    pub(crate) keys: Vec<u64>,
    /// Watchers of one prefix.
    pub(crate) fan_out: usize,
    /// Watchers that see nothing.
    pub(crate) idle: usize,
    /// Leases kept alive.
    pub(crate) leases: usize,
    /// Deaths of a leader.
    pub(crate) kills: usize,
    /// Keys of the load of a cluster.
    pub(crate) cluster_keys: u64,
    /// What is not counted at the beginning of each measurement.
    pub(crate) warm_up: Duration,
    /// Length of one measurement.
    pub(crate) length: Duration,
}

/// The options of a run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) reference: PathBuf,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    /// With mutual TLS.
    pub(crate) tls: bool,
    /// In plaintext.
    pub(crate) plain: bool,
    pub(crate) only: Vec<String>,
    pub(crate) markdown: Option<PathBuf>,
    pub(crate) scale: Scale,
    /// The options as they were given, without the folder of real etcd.
    pub(crate) given: Vec<String>,
}

impl Options {
    fn new() -> Self {
        Self {
            reference: std::env::var_os("ETCD_REFERENCE_DIR")
                .map(PathBuf::from)
                .unwrap_or_default(),
            rounds: 3,
            quick: false,
            tls: true,
            plain: true,
            only: Vec::new(),
            markdown: None,
            scale: Scale {
                keys: vec![1_000_000, 5_000_000],
                fan_out: 1_000,
                idle: 10_000,
                leases: 10_000,
                kills: 5,
                cluster_keys: 1_000_000,
                warm_up: Duration::from_millis(700),
                length: Duration::from_secs(4),
            },
            given: Vec::new(),
        }
    }

    /// Reads the command line.
    ///
    /// # Errors
    /// An option is unknown, has no or a bad value, or real etcd is not where it should be.
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::new();
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let mut given = vec![argument.clone()];
            let mut value = || {
                let next = arguments.next().ok_or(format!("{argument} needs a value\n{USAGE}"))?;
                given.push(next.clone());
                Ok::<_, String>(next)
            };
            match argument.as_str() {
                // cargo itself adds this one.
                "--bench" => continue,
                "--reference" => {
                    options.reference = PathBuf::from(value()?);
                    continue;
                }
                "--seconds" => options.scale.length = Duration::from_secs(number(&value()?)?),
                "--rounds" => options.rounds = number::<usize>(&value()?)?.max(1),
                "--only" => options.only.push(value()?),
                "--keys" => {
                    options.scale.keys =
                        value()?.split(',').map(number).collect::<Result<_, _>>()?;
                }
                "--tls" => options.plain = false,
                "--plain" => options.tls = false,
                "--quick" => options.shrink(),
                "--markdown" => options.markdown = Some(PathBuf::from(value()?)),
                other => return Err(format!("unknown option {other}\n{USAGE}")),
            }
            options.given.extend(given);
        }
        if !options.reference.join("etcd").is_file() {
            return Err(format!(
                "no etcd in {:?}: name the folder of real etcd\n{USAGE}",
                options.reference
            ));
        }
        Ok(options)
    }

    fn shrink(&mut self) {
        self.quick = true;
        self.rounds = 1;
        self.scale = Scale {
            keys: vec![20_000],
            fan_out: 200,
            idle: 1_000,
            leases: 1_000,
            kills: 1,
            cluster_keys: 20_000,
            warm_up: Duration::from_millis(200),
            length: Duration::from_millis(800),
        };
    }

    /// Whether something of this name is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| name.contains(text.as_str()))
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number\n{USAGE}"))
}
