//! What the process held at most, as Linux says; elsewhere nothing.

/// Forgets the peak so far.
pub fn forget_peak() {
    // Refused in some containers: then the peak covers the fill too, which holds little.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The peak of resident memory, bytes.
pub fn peak_bytes() -> Option<u64> {
    field("VmHWM:")
}

/// Resident memory now, bytes.
pub fn current_bytes() -> Option<u64> {
    field("VmRSS:")
}

fn field(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
