//! Personas: in whose name work is done (dispatch 8).

use crate::process::process;
use abi::voucher::PERSONA_ID_NONE;

/// The id of a persona, [`PERSONA_ID_NONE`] for none.
pub type PersonaId = u32;

/// Returns the persona in whose name the calling thread works, as the kernel sees it: that of the voucher that the
/// thread has adopted in the kernel, else the task's own (dispatch P-2).
pub fn kernel_current() -> PersonaId {
    process().kernel.current_persona().unwrap_or(PERSONA_ID_NONE)
}
