//! Whether a model may compute on a graphics processor: never unless the app asks, and never again after it failed.
//!
//! A driver can fail by an error, by wrong numbers, by a panic or by ending the process. So a device is tried once
//! against the CPU before it is used, and a marker file stands for as long as the trial runs: one that is found at
//! the next start says that the trial did not end well, however it ended.

use std::fs::{self, File};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::model::BackendChoice;

/// What an app says about the graphics processor.
#[derive(Clone, Copy, Debug)]
pub struct DeviceRequest<'a> {
    /// Whether the app wants it.
    pub asked: bool,
    /// Whether the system is one that it is known to work on: for Metal, a real device with iOS 18 or macOS 15 at least.
    pub system_supported: bool,
    /// The version of the system as text: a failure is remembered until it, or this library, changes.
    pub system_version: &'a str,
    /// A folder that outlives the process, for the memory of failures. Not one that two processes share: of two trials
    /// at once, one would take the other for a failure.
    pub folder: &'a Path,
}

/// Why a device was taken or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceVerdict {
    /// It agreed with the CPU and is used.
    Taken,
    /// The app did not ask for it.
    NotAsked,
    /// The system is not one that it is known to work on.
    SystemUnsupported,
    /// A trial failed on this system before.
    FailedBefore,
    /// A failure could not be remembered, so the trial was not made.
    CannotRemember,
    /// There is no such device, or this build has no code for it.
    Unavailable,
    /// An error, or numbers unlike those of the CPU; remembered.
    Failed,
    /// A panic; remembered.
    Panicked,
}

/// The compute path for a request: candle on Metal where everything speaks for it, else our CPU kernels.
///
/// Cost where it is asked for: some products and their first compilation, less than a second; blocks.
pub fn choose_backend(request: &DeviceRequest<'_>) -> (BackendChoice, DeviceVerdict) {
    let trial = catch_and_remember(request, "metal", metal, super::device_test::agrees_with_cpu);
    match trial {
        Ok(device) => (BackendChoice::Portable(device), DeviceVerdict::Taken),
        Err(verdict) => (BackendChoice::Cpu, verdict),
    }
}

/// The first Metal device; `None` where there is none.
fn metal() -> Option<candle_core::Device> {
    #[cfg(all(feature = "metal", target_vendor = "apple"))]
    return candle_core::Device::new_metal(0).ok();
    #[cfg(not(all(feature = "metal", target_vendor = "apple")))]
    None
}

/// Opens a device and tests it, with the marker `name` standing for the time of the trial.
fn catch_and_remember<D>(
    request: &DeviceRequest<'_>,
    name: &str,
    open: impl FnOnce() -> Option<D>,
    agrees: impl FnOnce(&D) -> crate::Result<bool>,
) -> Result<D, DeviceVerdict> {
    if !request.asked {
        return Err(DeviceVerdict::NotAsked);
    }
    if !request.system_supported {
        return Err(DeviceVerdict::SystemUnsupported);
    }
    let marker = request.folder.join(format!("{name}.trial"));
    let key = format!("{name} {} {}", env!("CARGO_PKG_VERSION"), request.system_version);
    match fs::read(&marker) {
        Ok(found) if found == key.as_bytes() => return Err(DeviceVerdict::FailedBefore),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(DeviceVerdict::CannotRemember),
        _ => {}
    }
    if write(&marker, key.as_bytes()).is_err() {
        return Err(DeviceVerdict::CannotRemember);
    }
    // The device is given up after a panic, so nothing of it is seen half-changed.
    let trial = catch_unwind(AssertUnwindSafe(|| {
        let Some(device) = open() else { return Err(DeviceVerdict::Unavailable) };
        match agrees(&device) {
            Ok(true) => Ok(device),
            Ok(false) => Err(DeviceVerdict::Failed),
            Err(error) => {
                log::warn!("{name} failed its trial: {error}");
                Err(DeviceVerdict::Failed)
            }
        }
    }))
    .unwrap_or(Err(DeviceVerdict::Panicked));
    if matches!(trial, Ok(_) | Err(DeviceVerdict::Unavailable)) && fs::remove_file(&marker).is_err() {
        return Err(DeviceVerdict::CannotRemember);
    }
    trial
}

/// Writes a small file and waits until it is kept: the process may end the next moment.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(u32);

    fn request(folder: &Path) -> DeviceRequest<'_> {
        DeviceRequest { asked: true, system_supported: true, system_version: "18.4", folder }
    }

    fn try_fake(
        request: &DeviceRequest<'_>,
        agrees: impl FnOnce(&Fake) -> crate::Result<bool>,
    ) -> Result<u32, DeviceVerdict> {
        catch_and_remember(request, "fake", || Some(Fake(7)), agrees).map(|device| device.0)
    }

    #[test]
    fn a_device_that_agrees_is_taken_every_time() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            assert_eq!(try_fake(&request(folder.path()), |_| Ok(true)), Ok(7));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_tried_unless_asked_for_on_a_known_system() {
        let folder = tempfile::tempdir().unwrap();
        let known = request(folder.path());
        let untouched = |_: &Fake| -> crate::Result<bool> { unreachable!("no trial was allowed") };
        assert_eq!(try_fake(&DeviceRequest { asked: false, ..known }, untouched), Err(DeviceVerdict::NotAsked));
        let old = DeviceRequest { system_supported: false, ..known };
        assert_eq!(try_fake(&old, untouched), Err(DeviceVerdict::SystemUnsupported));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_failure_is_remembered_until_the_system_changes() {
        let error = || crate::Error::InvalidArgument("no".into());
        let ways: [(&dyn Fn() -> crate::Result<bool>, DeviceVerdict); 3] = [
            (&|| Ok(false), DeviceVerdict::Failed),
            (&|| Err(error()), DeviceVerdict::Failed),
            (&|| panic!("the driver's fault"), DeviceVerdict::Panicked),
        ];
        for (way, verdict) in ways {
            let folder = tempfile::tempdir().unwrap();
            let first = request(folder.path());
            assert_eq!(try_fake(&first, |_| way()), Err(verdict));
            assert_eq!(try_fake(&first, |_| Ok(true)), Err(DeviceVerdict::FailedBefore));
            let updated = DeviceRequest { system_version: "18.5", ..first };
            assert_eq!(try_fake(&updated, |_| Ok(true)), Ok(7));
            assert_eq!(try_fake(&first, |_| Ok(true)), Ok(7));
        }
    }

    #[test]
    fn a_process_that_ends_in_the_trial_counts_as_failed() {
        let folder = tempfile::tempdir().unwrap();
        let outer = request(folder.path());
        // What a later start finds is what stands on disk while the trial runs.
        let seen = try_fake(&outer, |_| Ok(try_fake(&outer, |_| Ok(true)) == Err(DeviceVerdict::FailedBefore)));
        assert_eq!(seen, Ok(7));
    }

    #[test]
    fn a_missing_device_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let request = request(folder.path());
        let missing = catch_and_remember(&request, "fake", || None::<Fake>, |_| Ok(true));
        assert_eq!(missing.map(|device| device.0), Err(DeviceVerdict::Unavailable));
        assert_eq!(try_fake(&request, |_| Ok(true)), Ok(7));
    }

    #[test]
    fn without_a_place_to_remember_nothing_is_tried() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let untouched = |_: &Fake| -> crate::Result<bool> { unreachable!("no trial was allowed") };
        assert_eq!(try_fake(&request(&gone), untouched), Err(DeviceVerdict::CannotRemember));
    }

    #[cfg(not(feature = "metal"))]
    #[test]
    fn without_the_feature_the_cpu_computes() {
        let folder = tempfile::tempdir().unwrap();
        let (backend, verdict) = choose_backend(&request(folder.path()));
        assert!(matches!(backend, BackendChoice::Cpu));
        assert_eq!(verdict, DeviceVerdict::Unavailable);
    }
}
