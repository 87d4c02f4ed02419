//! CPU time and memory of processes, as the kernel accounts for them.
//!
//! CPU time is read from the POSIX clock of the process (`clock_getcpuclockid`). The kernel computes it from the same
//! per-thread run times that it shows in `/proc/PID/task/*/schedstat`, in nanoseconds, user and system time
//! together; unlike a sum over those files it is one call, is up to date for threads that are running now, and
//! includes threads that have ended.

use std::io;
use std::time::Duration;

use crate::error::Error;

/// The processes of the server.
#[derive(Debug)]
pub(crate) struct Meter {
    pids: Vec<i32>,
}

impl Meter {
    /// Watches `pids` and all their descendants of this moment. None if there is nothing to watch.
    pub(crate) fn watch(pids: &[i32]) -> Result<Option<Meter>, Error> {
        if pids.is_empty() {
            return Ok(None);
        }
        let mut meter = Meter { pids: pids.to_vec() };
        meter.cpu()?;
        let parents = parents();
        // The vector grows while it is walked, until no process is added.
        let mut at = 0;
        while let Some(parent) = meter.pids.get(at).copied() {
            for (child, its_parent) in &parents {
                if *its_parent == parent && !meter.pids.contains(child) {
                    meter.pids.push(*child);
                }
            }
            at += 1;
        }
        Ok(Some(meter))
    }

    /// CPU time of all the processes since they began.
    pub(crate) fn cpu(&self) -> Result<Duration, Error> {
        self.sum(process_cpu).map(Duration::from_nanos)
    }

    /// Resident bytes of all the processes.
    pub(crate) fn resident(&self) -> Result<u64, Error> {
        self.sum(resident)
    }

    /// The same, from counters that are quick to read and may lag a little.
    pub(crate) fn quick_resident(&self) -> Result<u64, Error> {
        self.sum(|pid| field(pid, "status", "VmRSS:"))
    }

    fn sum(&self, read: impl Fn(i32) -> io::Result<u64>) -> Result<u64, Error> {
        self.pids.iter().map(|pid| read(*pid).map_err(|source| Error::NoProcess { pid: *pid, source })).sum()
    }
}

/// Nanoseconds of CPU time that a process used.
#[cfg(target_os = "linux")]
fn process_cpu(pid: i32) -> io::Result<u64> {
    // A clock id holds 29 bits of the process id and would name another clock for a larger one; the kernel gives out
    // no larger ones.
    const MAX_PID: i32 = 1 << 22;
    if pid > MAX_PID {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    let mut clock = 0;
    // SAFETY: the clock id is written to a valid local.
    let failure = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if failure != 0 {
        return Err(io::Error::from_raw_os_error(failure));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is written to a valid local.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

#[cfg(not(target_os = "linux"))]
fn process_cpu(_pid: i32) -> io::Result<u64> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "CPU time can be read on Linux only"))
}

/// Resident bytes. `smaps_rollup` counts pages; `status` reads counters that may lag by some pages for each CPU.
fn resident(pid: i32) -> io::Result<u64> {
    field(pid, "smaps_rollup", "Rss:").or_else(|_| field(pid, "status", "VmRSS:"))
}

/// A number of bytes that a file of the process gives in KiB.
fn field(pid: i32, file: &str, name: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map(|kibibytes| kibibytes * 1024)
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/{file} has no {name}")))
}

/// Every process with its parent.
fn parents() -> Vec<(i32, i32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name before the last parenthesis may contain anything.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_the_cpu_time_of_the_process() {
        let pid = std::process::id() as i32;
        let meter = Meter::watch(&[pid]).expect("this process").expect("a process was given");
        let before = meter.cpu().expect("this process");
        let mut sum = 0_u64;
        while meter.cpu().expect("this process") < before + Duration::from_millis(20) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(meter.resident().expect("this process") > 100_000);
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        let error = Meter::watch(&[i32::MAX]).expect_err("no such process");
        assert!(error.to_string().contains("2147483647"), "{error}");
    }
}
