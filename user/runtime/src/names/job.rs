//! A job: a program that the name service starts when one of its services is wanted.

use super::life::{STARTS_DEFAULT, STARTS_MAX, WINDOW_DEFAULT};
use crate::message::Message;
use abi::KernReturn;
use abi::code::*;
use abi::mig::NDR;
use abi::mig::bootstrap::*;
use abi::qos::{AppType, Qos, Role};
use abi::task::{Properties, SPAWN_INHERIT};
use heapless::Vec;
use zerocopy::{FromBytes, IntoBytes};

/// The greatest number of services of a job.
pub const SERVICES_PER_JOB: usize = 8;
/// The longest time over which starts are counted, in milliseconds.
const WINDOW_MAX: u32 = 600_000;
/// Bytes of a label or of the name of a program, with a zero byte.
const TEXT_SIZE: usize = 64;
/// Bytes of all names of services or of all arguments, each with a zero byte.
const STRINGS_SIZE: usize = 256;

/// Strings, each with a zero byte at its end.
type Strings<const N: usize> = Vec<u8, N>;

/// The declaration of a job: what the name service starts, as what, and for which services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    settings: JobSettings,
    label: Strings<TEXT_SIZE>,
    program: Strings<TEXT_SIZE>,
    services: Strings<STRINGS_SIZE>,
    arguments: Strings<STRINGS_SIZE>,
    /// True if something did not fit. The declaration is refused.
    is_too_long: bool,
}

/// Appends a string. Returns false if it does not fit or has a zero byte itself.
fn append<const N: usize>(strings: &mut Strings<N>, text: &str) -> bool {
    let fits = strings.capacity() - strings.len() > text.len() && !text.contains('\0');
    // Neither fails if the string fits.
    fits && strings.extend_from_slice(text.as_bytes()).is_ok() && strings.push(0).is_ok()
}

/// Returns the strings, without their zero bytes.
fn split(strings: &[u8]) -> impl Iterator<Item = &str> {
    strings.split_inclusive(|&byte| byte == 0).map(|text| core::str::from_utf8(&text[..text.len() - 1]).unwrap_or(""))
}

impl Job {
    /// Returns a job that runs a program of the bundle on demand, with the name service's own user, group and persona. The
    /// label names it in listings, and is the program's first argument. It is at most 63 bytes long, as is the program's
    /// name.
    pub fn new(label: &str, program: &str) -> Job {
        let settings = JobSettings {
            uid: SPAWN_INHERIT,
            gid: SPAWN_INHERIT,
            starts_max: STARTS_DEFAULT,
            starts_window: WINDOW_DEFAULT,
            ..JobSettings::default()
        };
        let (label_text, program_text) = (label, program);
        let (mut label, mut program) = (Vec::new(), Vec::new());
        let fits = append(&mut label, label_text) && append(&mut program, program_text);
        Job { settings, label, program, services: Vec::new(), arguments: Vec::new(), is_too_long: !fits }
    }

    /// Adds a service: at most 8, of 256 bytes together.
    pub fn service(mut self, name: &str) -> Job {
        self.is_too_long |= !append(&mut self.services, name);
        self.settings.service_count += 1;
        self
    }

    /// Adds an argument of the program: 256 bytes together.
    pub fn argument(mut self, argument: &str) -> Job {
        self.is_too_long |= !append(&mut self.arguments, argument);
        self.settings.argument_count += 1;
        self
    }

    /// Sets the type, the role and the QoS clamp (dispatch A.3).
    pub fn policy(mut self, app_type: AppType, role: Role, clamp: Qos) -> Job {
        let settings = &mut self.settings;
        (settings.app_type, settings.role, settings.qos_clamp) = (app_type as u32, role as u32, clamp as u32);
        self
    }

    /// Sets the user and the group.
    pub fn user(mut self, uid: u32, gid: u32) -> Job {
        (self.settings.uid, self.settings.gid) = (uid, gid);
        self
    }

    /// Sets the persona and the properties (dispatch P-5).
    pub fn persona(mut self, id: u32, properties: Properties) -> Job {
        (self.settings.persona, self.settings.properties) = (id, properties.bits());
        self
    }

    /// Lets the job be started at once, and again whenever it ends.
    pub fn keep_alive(mut self) -> Job {
        self.settings.flags |= JOB_KEEP_ALIVE;
        self
    }

    /// Sets how many starts are not too many, 1 to 16, in how many milliseconds, at most 600,000; without it 5 in 10
    /// seconds. A start does not count if the instance ended with status 0 and no message waited, unless the job is kept
    /// alive.
    pub fn starts(mut self, limit: u32, milliseconds: u32) -> Job {
        (self.settings.starts_max, self.settings.starts_window) = (limit, milliseconds);
        self
    }

    /// Returns the fixed part.
    pub fn settings(&self) -> &JobSettings {
        &self.settings
    }

    /// Returns the label.
    pub fn label(&self) -> &str {
        split(&self.label).next().unwrap_or("")
    }

    /// Returns the name of the program.
    pub fn program(&self) -> &str {
        split(&self.program).next().unwrap_or("")
    }

    /// Returns the names of the services.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        split(&self.services)
    }

    /// Returns the arguments behind the label.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        split(&self.arguments)
    }

    /// Returns true if the job is kept alive.
    pub fn keeps_alive(&self) -> bool {
        self.settings.flags & JOB_KEEP_ALIVE != 0
    }

    /// Checks what does not depend on other jobs.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if something was too long, is empty or out of range, or if a service is named twice.
    pub(super) fn check(&self) -> Result<(), KernReturn> {
        let JobSettings { app_type, role, qos_clamp, properties, flags, service_count, .. } = self.settings;
        let names = || self.services();
        let numbers_fit = AppType::from_number(app_type).is_some()
            && Role::from_number(role).is_some()
            && qos_clamp <= Qos::UserInteractive as u32
            && Properties::from_bits(properties).is_some()
            && flags & !JOB_KEEP_ALIVE == 0
            && (1..=STARTS_MAX as u32).contains(&self.settings.starts_max)
            && (1..=WINDOW_MAX).contains(&self.settings.starts_window)
            && service_count as usize <= SERVICES_PER_JOB;
        let texts_fit = !self.is_too_long
            && [self.label(), self.program()].iter().all(|text| !text.is_empty())
            && names().all(|name| !name.is_empty() && name.len() < NAME_SIZE)
            && names().enumerate().all(|(number, name)| names().take(number).all(|other| other != name));
        if numbers_fit && texts_fit { Ok(()) } else { Err(KERN_INVALID_ARGUMENT) }
    }

    /// Appends the job to a request. All parts together fit a message.
    pub(super) fn encode(&self, request: Message) -> Message {
        const PAD: [u8; 3] = [0; 3];
        let parts: [&[u8]; 4] = [&self.label, &self.program, &self.services, &self.arguments];
        let size: usize = parts.iter().map(|part| part.len()).sum();
        let request = request.bytes(&NDR).bytes(self.settings.as_bytes());
        let request = parts.iter().fold(request, |request, part| request.bytes(part));
        request.bytes(&PAD[..size.next_multiple_of(4) - size])
    }

    /// Decodes the body of a request behind its NDR record.
    ///
    /// # Errors
    /// `MIG_BAD_ARGUMENTS` if it has not the form that [`JobSettings`] describes; `KERN_INVALID_ARGUMENT` as in
    /// [`check`](Job::check).
    pub(super) fn decode(bytes: &[u8]) -> Result<Job, KernReturn> {
        let (settings, mut rest) = JobSettings::read_from_prefix(bytes).map_err(|_| MIG_BAD_ARGUMENTS)?;
        let mut job = Job { settings, is_too_long: false, ..Job::new("", "") };
        (job.label, job.program) = (Vec::new(), Vec::new());
        if settings.service_count as usize > SERVICES_PER_JOB || settings.argument_count as usize > STRINGS_SIZE {
            return Err(KERN_INVALID_ARGUMENT);
        }
        let mut take = || -> Result<&str, KernReturn> {
            let end = rest.iter().position(|&byte| byte == 0).ok_or(MIG_BAD_ARGUMENTS)?;
            let text = core::str::from_utf8(&rest[..end]).map_err(|_| KERN_INVALID_ARGUMENT)?;
            rest = &rest[end + 1..];
            Ok(text)
        };
        let mut fits = append(&mut job.label, take()?) & append(&mut job.program, take()?);
        for _ in 0..settings.service_count {
            fits &= append(&mut job.services, take()?);
        }
        for _ in 0..settings.argument_count {
            fits &= append(&mut job.arguments, take()?);
        }
        if rest.len() > 3 || rest.iter().any(|&byte| byte != 0) {
            return Err(MIG_BAD_ARGUMENTS);
        }
        job.is_too_long = !fits;
        job.check().map(|()| job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::message::Header;

    fn job() -> Job {
        let job = Job::new("imaged", "tests").service("photos.decode").service("photos.encode");
        let job = job.policy(AppType::DaemonAdaptive, Role::Unspecified, Qos::Unspecified).argument("child");
        job.argument("")
            .argument("serve")
            .user(501, 20)
            .persona(7, Properties::PLATFORM)
            .starts(16, WINDOW_MAX)
            .keep_alive()
    }

    /// The bytes behind the NDR record of a request.
    fn encoded(job: &Job) -> Vec<u8, 1024> {
        let mut message = job.encode(Message::new());
        let size = message.size();
        let body = &message.buffer()[Header::SIZE + NDR.len()..size];
        Vec::from_slice(body).expect("a message is that small")
    }

    #[test]
    fn job_survives_its_encoding() {
        let bytes = encoded(&job());
        assert_eq!(bytes.len() % 4, 0);
        let decoded = Job::decode(&bytes).expect("it is well formed");
        assert_eq!(decoded, job());
        assert_eq!((decoded.label(), decoded.program(), decoded.keeps_alive()), ("imaged", "tests", true));
        assert!(decoded.services().eq(["photos.decode", "photos.encode"]));
        assert!(decoded.arguments().eq(["child", "", "serve"]));
        let plain = Job::new("a", "b");
        assert_eq!(Job::decode(&encoded(&plain)), Ok(plain));
    }

    #[test]
    fn largest_job_fits_a_message_and_its_trailer() {
        let full = "x".repeat(STRINGS_SIZE / 2 - 1);
        let text = "y".repeat(TEXT_SIZE - 1);
        let name = |number: usize| format!("{number}{}", "n".repeat(STRINGS_SIZE / SERVICES_PER_JOB - 2));
        let job = (0..SERVICES_PER_JOB).fold(Job::new(&text, &text), |job, number| job.service(&name(number)));
        let job = job.argument(&full).argument(&full);
        let bytes = encoded(&job);
        assert_eq!(Job::decode(&bytes).as_ref(), Ok(&job));
        let size = Header::SIZE + NDR.len() + bytes.len() + abi::message::MAX_TRAILER_SIZE;
        assert!(size <= crate::message::CAPACITY, "{size} bytes");
        for longer in [job.clone().service("s"), job.clone().argument(""), Job::new(&format!("{text}z"), "p")] {
            assert_eq!(longer.check(), Err(KERN_INVALID_ARGUMENT));
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = encoded(&job());
        let padding = 3.min(bytes.iter().rev().take_while(|&&byte| byte == 0).count() - 1);
        for size in 0..bytes.len() - padding {
            assert_eq!(Job::decode(&bytes[..size]), Err(MIG_BAD_ARGUMENTS), "{size} bytes");
        }
        let longer = [&bytes[..], &[0; 4]].concat();
        assert_eq!(Job::decode(&longer), Err(MIG_BAD_ARGUMENTS));
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let change = |change: fn(&mut JobSettings)| {
            let mut job = job();
            change(&mut job.settings);
            Job::decode(&encoded(&job))
        };
        let changes: [fn(&mut JobSettings); 10] = [
            |settings| settings.app_type = 8,
            |settings| settings.role = 99,
            |settings| settings.qos_clamp = 7,
            |settings| settings.properties = 16,
            |settings| settings.flags = 2,
            |settings| settings.starts_max = 0,
            |settings| settings.starts_max = 17,
            |settings| settings.starts_window = 0,
            |settings| settings.starts_window = WINDOW_MAX + 1,
            |settings| settings.service_count = u32::MAX,
        ];
        for each in changes {
            assert_eq!(change(each), Err(KERN_INVALID_ARGUMENT));
        }
        assert_eq!(change(|settings| settings.argument_count += 4), Err(MIG_BAD_ARGUMENTS));
        assert_eq!(change(|settings| settings.argument_count -= 1), Err(MIG_BAD_ARGUMENTS));
    }

    #[test]
    fn names_that_are_empty_long_or_used_twice_are_refused() {
        let long = "n".repeat(NAME_SIZE);
        let plain = || Job::new("label", "program");
        let refused = [
            Job::new("", "program"),
            Job::new("label", ""),
            plain().service(""),
            plain().service(&long),
            plain().service("one").service("two").service("one"),
            plain().service("zero\0byte"),
        ];
        for job in refused {
            assert_eq!(job.check(), Err(KERN_INVALID_ARGUMENT), "{job:?}");
        }
        assert_eq!(plain().service(&long[1..]).check(), Ok(()));
    }

    #[test]
    fn strings_that_are_not_utf8_are_refused() {
        let mut bytes = encoded(&job());
        let at = size_of::<JobSettings>();
        bytes[at] = 0xFF;
        assert_eq!(Job::decode(&bytes), Err(KERN_INVALID_ARGUMENT));
    }
}
