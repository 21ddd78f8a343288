//! What this machine is, and what this process took of it.

/// What all threads of this process have computed: on a shared machine steadier than the clock; 0 where the
/// system does not tell.
#[must_use]
pub fn cpu_milliseconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let times = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e6
}

/// Most memory that this process has held, in MiB; 0 where the system does not tell.
#[must_use]
pub fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}

/// Forgets the most memory held so far, so that [`peak_megabytes`] speaks of what follows; where the system cannot,
/// it speaks of the whole process.
pub fn forget_peak() {
    // The kernel's own switch for this: proc_pid_clear_refs(5).
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// What the processor calls itself.
#[must_use]
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ").map(|(_, n)| n));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

/// The vector instructions that this build uses.
#[must_use]
pub fn vectors() -> &'static str {
    if cfg!(target_feature = "avx512f") {
        "AVX-512"
    } else if cfg!(target_feature = "avx2") {
        "AVX2"
    } else if cfg!(target_feature = "neon") {
        "NEON"
    } else {
        "portable build"
    }
}

fn kilobytes(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// What a process has taken so far; zeros where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ProcessUse {
    /// All that its threads have computed, those that ended among them.
    pub cpu_seconds: f64,
    /// Memory that it holds.
    pub resident_bytes: u64,
    /// Most memory that it has held.
    pub peak_bytes: u64,
}

/// What a process has taken so far.
#[must_use]
pub fn process_use(pid: u32) -> ProcessUse {
    let status = format!("/proc/{pid}/status");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name in parentheses: state is the first, user and system time are the 12th and 13th (proc_pid_stat(5)).
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ProcessUse {
        cpu_seconds: ticks.sum::<f64>() / 100.0, // USER_HZ is 100 on every Linux of today
        resident_bytes: kilobytes(&status, "VmRSS:") << 10,
        peak_bytes: kilobytes(&status, "VmHWM:") << 10,
    }
}

/// Memory that this process holds; 0 where the system does not tell.
#[must_use]
pub fn resident_bytes() -> u64 {
    kilobytes("/proc/self/status", "VmRSS:") << 10
}

/// Memory that a new program could have; 0 where the system does not tell.
#[must_use]
pub fn available_bytes() -> u64 {
    kilobytes("/proc/meminfo", "MemAvailable:") << 10
}

/// A disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Free for this user.
    pub free_bytes: u64,
    /// In all.
    pub size_bytes: u64,
}

/// The disk of a path; `None` where the system does not tell.
#[must_use]
pub fn disk(path: &std::path::Path) -> Option<Disk> {
    let found = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Disk { free_bytes: bytes(found.f_bavail), size_bytes: bytes(found.f_blocks) })
}
