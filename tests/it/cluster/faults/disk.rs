//! Disks of members that are slow or full.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use super::{Trial, others, rounds};
use crate::durability::shim;
use crate::support::cluster::{Cluster, Plan};
use crate::support::http;
use crate::support::process::Process;
use crate::support::server::Kind;
use crate::support::wait::eventually;

/// The plan with every member on the preloaded disk, whose rules are the file `rules` in its folder;
/// `None` for programs that do without the C library, which stands between them and the disk.
pub(super) fn on_slow_disks(plan: Plan) -> Option<Plan> {
    if !syncs_by_name(&std::fs::read(Kind::Ours.program("etcd")).unwrap()) {
        eprintln!("SKIPPED: slow disks; this daemon does without the C library");
        return None;
    }
    let plan = plan.variable("LD_PRELOAD", shim::library().to_str().unwrap());
    Some(plan.variable("SHIM_ROOT", "{home}/data").variable("SHIM_RULES", "{home}/rules"))
}

/// Whether a program calls the C library's sync by name, and not the kernel itself as Go does.
fn syncs_by_name(program: &[u8]) -> bool {
    let name = b"\0fdatasync\0";
    program.windows(name.len()).any(|window| window == name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_disks_lose_nothing() {
    let Some(plan) = on_slow_disks(Plan::of(3)) else { return };
    let mut trial = Trial::start(plan).await;
    let kinds = [("slow-leader", true), ("slow-follower", false)];
    for (name, leads) in kinds.into_iter().cycle().take(2 * rounds()) {
        trial
            .endures(name, async |cluster, workload, random| {
                let leader = cluster.leader().await;
                let slow = if leads { leader } else { cluster.follower().await };
                let rules = cluster.members[slow].home().join("rules");
                std::fs::write(&rules, format!("sync .wal slow {}", 50 + random.below(400)))
                    .unwrap();
                workload.progress(30).await;
                std::fs::remove_file(&rules).unwrap();
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_stalls_is_replaced_and_says_so() {
    let Some(plan) = on_slow_disks(Plan::of(3)) else { return };
    let mut trial = Trial::start(plan).await;
    for _ in 0..rounds() {
        trial
            .endures("stalled-leader", async |cluster, workload, _| {
                let slow = cluster.leader().await;
                let member = &cluster.members[slow];
                let rules = member.home().join("rules");
                let stall = 3 * cluster.election_timeout().as_millis();
                std::fs::write(&rules, format!("sync .wal slow {stall}")).unwrap();
                let rest = others(cluster, slow);
                cluster.leader_of(&rest).await;
                workload.progress(40).await;
                let health = eventually("a bad health", || {
                    let answer = http::request(&member.client_address(), "GET", "/health");
                    (answer.status == 503).then_some(answer.body)
                });
                assert!(health.contains("DISK SLOW") || health.contains("NO LEADER"), "{health}");
                std::fs::remove_file(&rules).unwrap();
            })
            .await;
    }
}

/// A small file system at the data directory of a member, in a namespace that lives as long as this.
struct SmallDisk {
    _holder: Process,
    data: PathBuf,
}

impl SmallDisk {
    /// `None` where the system does not allow it.
    fn mount(cluster: &mut Cluster, place: usize) -> Option<Self> {
        let allowed = Command::new("unshare").args(["--mount", "true"]).status();
        if !allowed.as_ref().is_ok_and(ExitStatus::success) {
            eprintln!("SKIPPED: a full disk; `unshare --mount` is not allowed here ({allowed:?})");
            return None;
        }
        let member = &mut cluster.members[place];
        std::fs::create_dir(member.data()).unwrap();
        let script = "mount -t tmpfs -o size=200m,mode=700 small data && echo mounted && \
                      exec sleep infinity";
        let mut command = Command::new("unshare");
        command.current_dir(member.home()).args(["--mount", "sh", "-c", script]);
        let mut holder = Process::start(&mut command);
        holder.wait_line("the small disk", |line| (line == "mounted").then_some(()));
        let pid = holder.pid().to_string();
        let data = PathBuf::from(format!("/proc/{pid}/root"))
            .join(member.data().strip_prefix("/").unwrap());
        let enter = ["nsenter", "-t", &pid, "-m", "--"];
        member.by = enter.iter().map(ToString::to_string).collect();
        Some(Self { _holder: holder, data })
    }

    /// Takes all space there is and tells by which file.
    fn fill(&self) -> PathBuf {
        let path = self.data.join("ballast");
        let mut file = File::create(&path).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![1; size]).is_err() {
                size /= 2;
            }
        }
        path
    }
}

/// The member may end or wait for space; the others go on, and with space it catches up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_one_member_stops_nobody_else() {
    let plan = Plan::of(3).variable("STORAGE_SCALE", "16");
    let mut cluster = Cluster::found(plan);
    let Some(disk) = SmallDisk::mount(&mut cluster, 2) else { return };
    (0..3).for_each(|place| cluster.launch(place));
    for place in 0..3 {
        cluster.wait_ready(place).await;
    }
    let mut trial = Trial::of(cluster);
    for _ in 0..rounds() {
        trial
            .endures("full-disk", async |cluster, workload, _| {
                let ballast = disk.fill();
                workload.progress(60).await;
                std::fs::remove_file(ballast).unwrap();
                if cluster.members[2].process.as_mut().unwrap().has_ended() {
                    cluster.restart(2).await;
                }
            })
            .await;
    }
}
