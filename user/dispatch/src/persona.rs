//! Personas: in whose name work is done (dispatch 8).
//!
//! A persona travels in the bank attribute of vouchers. Adopting the voucher of a message makes "the current persona" that
//! of the program which asked for the work (dispatch P-2).

use crate::process::process;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::voucher::recipes::{Recipe, create};
use crate::voucher::{OwnedSend, Voucher, copy};
use abi::code::KERN_FAILURE;
use abi::port::MACH_PORT_NULL;
use abi::voucher::*;
use abi::{KernReturn, PortName};
use zerocopy::IntoBytes;

pub use crate::voucher::{InvalidPersona, with_persona};
pub use abi::voucher::PERSONA_ID_NONE as NONE;

/// Returns the persona in whose name the calling thread works, as the kernel sees it: that of the voucher that the
/// thread has adopted, else the task's own (`current_persona_get_id`, dispatch P-2). [`NONE`] if there is none.
pub fn kernel_current() -> u32 {
    process().kernel.current_persona().unwrap_or(NONE)
}

/// Returns the persona in whose name the calling thread works (`voucher_get_current_persona`, dispatch P-3). [`NONE`] if
/// there is none.
pub fn current() -> u32 {
    let mut id = [0; 4];
    match of_voucher(BANK_PERSONA_ID, &mut id) {
        Some(4) => u32::from_le_bytes(id),
        _ => kernel_current(),
    }
}

/// Returns the program for which the calling thread's voucher says that the work is done (dispatch P-4). `None` without
/// a voucher, and if it is this program's own.
pub fn originator() -> Option<ProcPersonaInfo> {
    token().map(|token| token.originator)
}

/// Returns the program that sent the calling thread's voucher last (dispatch P-4). `None` as for [`originator`].
pub fn proximate() -> Option<ProcPersonaInfo> {
    token().map(|token| token.proximate)
}

fn token() -> Option<PersonaToken> {
    let mut token = PersonaToken::default();
    let size = of_voucher(BANK_PERSONA_TOKEN, token.as_mut_bytes())?;
    (size == size_of::<PersonaToken>()).then_some(token)
}

/// Asks the bank about the calling thread's voucher, and returns the size of the answer.
fn of_voucher(command: u32, answer: &mut [u8]) -> Option<usize> {
    let voucher = copy().filter(|voucher| voucher.kernel_name() != MACH_PORT_NULL)?;
    let name = Voucher::full_name(&voucher);
    process().kernel.voucher_command(name, MACH_VOUCHER_ATTR_KEY_BANK, command, &[], answer).ok()
}

/// Whether a process keeps the personas of messages, which is asked for once.
#[derive(Default)]
pub(crate) struct ArbitraryPersonas(AtomicU8);

/// Returns true if this program may work in the name of any persona
/// (`voucher_process_can_use_arbitrary_personas`, dispatch P-9).
pub fn can_use_arbitrary() -> bool {
    const YES: u8 = 1;
    const NO: u8 = 2;
    let process = process();
    let known = &process.arbitrary_personas.0;
    if known.load(Ordering::Relaxed) == 0 {
        let (default, mut answer) = (process.default_voucher(), [0; 4]);
        let command = BANK_PERSONA_ADOPT_ANY;
        let key = MACH_VOUCHER_ATTR_KEY_BANK;
        let size = process.kernel.voucher_command(default.name(), key, command, &[], &mut answer);
        let may = size == Ok(4) && u32::from_le_bytes(answer) != 0;
        known.store(if may { YES } else { NO }, Ordering::Relaxed);
    }
    known.load(Ordering::Relaxed) == YES
}

/// Returns a kernel voucher that proves to a broker who this program is (`mach_voucher_persona_self`, R8, dispatch P-7).
///
/// # Errors
/// Those of creating vouchers.
pub fn of_self() -> Result<OwnedSend, KernReturn> {
    let key = MACH_VOUCHER_ATTR_KEY_BANK;
    let recipes =
        [Recipe::new(key, MACH_VOUCHER_ATTR_BANK_CREATE), Recipe::new(key, MACH_VOUCHER_ATTR_SEND_PREPROCESS)];
    create(process(), &recipes)?.ok_or(KERN_FAILURE)
}

/// Returns a kernel voucher with which another program may work in the name of a persona
/// (`mach_voucher_persona_for_originator`, R9, dispatch P-7). `originator` is what that program made by [`of_self`], and
/// `unique_pid` is its number.
///
/// # Errors
/// `KERN_NO_ACCESS` without the privilege of a broker, `KERN_INVALID_ARGUMENT` for an unknown persona,
/// `KERN_INVALID_CAPABILITY` if the voucher is not that of the program with the number.
pub fn for_originator(persona: u32, originator: PortName, unique_pid: u64) -> Result<OwnedSend, KernReturn> {
    let key = MACH_VOUCHER_ATTR_KEY_BANK;
    let info = PersonaModifyInfo { persona_id: persona, padding: 0, unique_pid };
    let recipes = [
        Recipe::new(key, MACH_VOUCHER_ATTR_COPY).previous(originator),
        Recipe::new(key, MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA).content(info.as_bytes()),
    ];
    create(process(), &recipes)?.ok_or(KERN_FAILURE)
}
