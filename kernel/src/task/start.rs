//! A task that is being started: what its parent asked for, and how far its program is loaded.

use super::program::Loading;
use crate::credentials::SystemPersonas;
use crate::heap::footprint;
use crate::ipc::budget::Portion;
use crate::limits::{ARGUMENTS_SIZE_MAX, STRINGS_MAX};
use crate::machine::UserAddr;
use crate::policy::spawn::Asked;
use abi::code::*;
use abi::port::{Disposition, MACH_PORT_NULL};
use abi::qos::{AppType, Qos, Role};
use abi::task::*;
use abi::{KernReturn, PortName};
use alloc::vec::Vec;

/// A range that a program claims to have in its memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub start: UserAddr,
    pub size: u64,
}

/// The decoded arguments of `task_spawn`. Its numbers are in range; the memory and names have not been looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpawnRequest {
    pub image: Range,
    pub image_is_name: bool,
    pub arguments: Range,
    pub environment: Range,
    pub policy: Asked,
    pub uid: u32,
    pub gid: u32,
    pub persona: u32,
    pub properties: Properties,
    pub system_personas: SystemPersonas,
    pub kernel_bytes: Portion,
    pub pages: Portion,
    pub own_coalition: bool,
    pub watch_ports: Range,
    pub bootstrap: PortName,
    pub exit_port: PortName,
    pub exit_disposition: Disposition,
}

impl SpawnRequest {
    /// Decodes arguments and checks those that can be checked without looking at memory or names.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if an argument is out of range.
    pub(crate) fn decode(args: &TaskSpawnArgs) -> Result<SpawnRequest, KernReturn> {
        let range = |start, size| Range { start: UserAddr(start), size };
        let given = |persona: u32| (persona != 0).then_some(persona);
        let exit_disposition = match args.exit_port {
            MACH_PORT_NULL => Disposition::NONE,
            _ => match u8::try_from(args.exit_disposition).map(Disposition) {
                Ok(given @ (Disposition::MAKE_SEND_ONCE | Disposition::MOVE_SEND_ONCE)) => given,
                _ => return Err(KERN_INVALID_ARGUMENT),
            },
        };
        let known = [args.system_persona, args.system_proxy_persona];
        if known.contains(&PERSONA_ID_NONE)
            || args.watch_port_count > WATCH_PORTS_MAX
            || args.image_kind > SPAWN_IMAGE_BYTES
            || args.coalition > SPAWN_COALITION_OWN
            || args.qos_clamp > Qos::UserInteractive as u32
            || args.arguments_size.saturating_add(args.environment_size) > ARGUMENTS_SIZE_MAX
        {
            return Err(KERN_INVALID_ARGUMENT);
        }
        Ok(SpawnRequest {
            image: range(args.image, args.image_size),
            image_is_name: args.image_kind == SPAWN_IMAGE_NAME,
            arguments: range(args.arguments, args.arguments_size),
            environment: range(args.environment, args.environment_size),
            policy: Asked {
                app_type: AppType::from_number(args.app_type).ok_or(KERN_INVALID_ARGUMENT)?,
                role: Role::from_number(args.role).ok_or(KERN_INVALID_ARGUMENT)?,
                qos_clamp: Qos::from_number(args.qos_clamp),
            },
            uid: args.uid,
            gid: args.gid,
            persona: args.persona,
            properties: Properties::from_bits(args.properties).ok_or(KERN_INVALID_ARGUMENT)?,
            system_personas: SystemPersonas { system: given(known[0]), proxy: given(known[1]) },
            kernel_bytes: portion(args.kernel_bytes)?,
            pages: portion(args.pages)?,
            own_coalition: args.coalition == SPAWN_COALITION_OWN,
            watch_ports: range(args.watch_ports, u64::from(args.watch_port_count) * size_of::<PortName>() as u64),
            bootstrap: args.bootstrap_port,
            exit_port: args.exit_port,
            exit_disposition,
        })
    }
}

/// Returns what an argument asks for of the caller's budget.
///
/// # Errors
/// `KERN_INVALID_ARGUMENT` for no parts, or for more than all.
fn portion(argument: u64) -> Result<Portion, KernReturn> {
    match argument {
        0 => Ok(Portion::Usual),
        amount if amount < SPAWN_SHARE_OF => Ok(Portion::Amount(amount)),
        parts => match parts - SPAWN_SHARE_OF {
            parts @ 1..=SPAWN_SHARE_PARTS => Ok(Portion::Parts(parts)),
            _ => Err(KERN_INVALID_ARGUMENT),
        },
    }
}

/// The strings for the stack of a program's first thread.
#[derive(Debug)]
pub(crate) struct Strings {
    /// Arguments, each ended by a zero byte.
    pub arguments: Vec<u8>,
    /// Environment, in the same form.
    pub environment: Vec<u8>,
    /// The numbers of arguments and of strings of the environment, exact up to [`STRINGS_MAX`].
    pub counts: [usize; 2],
}

/// Words that are searched together for the ends of strings: few enough that their number fits a byte.
const TOGETHER: usize = 31;

/// Returns a word with the highest bit set of each byte that is zero in `word`.
fn zeros(word: [u8; 8]) -> u64 {
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    let word = u64::from_le_bytes(word);
    !(((word & LOW) + LOW) | word | LOW)
}

impl Strings {
    /// Returns these strings, counted.
    pub(crate) fn new(arguments: Vec<u8>, environment: Vec<u8>) -> Strings {
        let counts = [&arguments, &environment].map(|list| Strings::count(list, STRINGS_MAX));
        Strings { arguments, environment, counts }
    }

    /// Returns the number of strings of a list, or a greater number than `limit` if there are more than that. It takes about
    /// an instruction for each byte.
    fn count(list: &[u8], limit: usize) -> usize {
        let (words, rest) = list.as_chunks::<8>();
        let mut count = rest.iter().filter(|&&byte| byte == 0).count();
        for some in words.chunks(TOGETHER) {
            let sums = some.iter().fold(0, |sums: u64, &word| sums + (zeros(word) >> 7));
            count += (sums.wrapping_mul(0x0101_0101_0101_0101) >> 56) as usize;
            if count > limit {
                break;
            }
        }
        count
    }

    /// Calls `found` with the index behind each string of a list.
    pub(crate) fn each_end(list: &[u8], mut found: impl FnMut(usize)) {
        let (words, rest) = list.as_chunks::<8>();
        for (number, &word) in words.iter().enumerate() {
            let mut ends = zeros(word);
            while ends != 0 {
                found(number * 8 + ends.trailing_zeros() as usize / 8 + 1);
                ends &= ends - 1;
            }
        }
        let ends = rest.iter().enumerate().filter(|&(_, &byte)| byte == 0);
        ends.for_each(|(at, _)| found(words.len() * 8 + at + 1));
    }

    /// Returns their length in bytes.
    pub(crate) fn size(&self) -> usize {
        self.arguments.len() + self.environment.len()
    }
}

/// The start of a task that takes more than one step. Its parent's thread waits for it in the kernel.
#[derive(Debug)]
pub(crate) struct Start {
    /// What the parent asked for.
    pub request: SpawnRequest,
    /// Where the parent's name for the task goes.
    pub result: UserAddr,
    /// The strings for its stack.
    pub strings: Strings,
    /// Its program.
    pub loading: Loading,
    /// The memory for its stack is there.
    pub has_stack: bool,
}

impl Start {
    /// Returns the bytes of kernel memory that it takes, which are on the budget of the new task.
    pub(crate) fn cost(&self) -> usize {
        footprint(size_of::<Start>())
            + footprint(self.strings.arguments.len())
            + footprint(self.strings.environment.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_strings_are_found_at_all_places_of_a_word() {
        let mut seed = 7u32;
        for length in 0..600 {
            let list: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    [0, 1, 0x7F, 0x80, 0xFF][(seed >> 16) as usize % 5] * u8::from(length % 3 > 0)
                })
                .collect();
            let ends: Vec<usize> = (1..=length).filter(|&end| list[end - 1] == 0).collect();
            let mut found = Vec::new();
            Strings::each_end(&list, |end| found.push(end));
            assert_eq!(found, ends, "{list:x?}");
            assert_eq!(Strings::count(&list, length), ends.len(), "{list:x?}");
        }
    }

    #[test]
    fn the_count_ends_at_the_limit() {
        let list = [0; 32 << 10];
        assert_eq!(Strings::count(&list, list.len()), list.len());
        assert!((2049..2049 + 8 * TOGETHER).contains(&Strings::count(&list, 2048)));
    }
}
