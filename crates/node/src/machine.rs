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
