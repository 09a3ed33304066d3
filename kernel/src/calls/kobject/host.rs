//! Messages to the host port (vouchers 4.2, 4.9).

use super::{Answer, KernelObject, Reply};
use crate::ids::{Context, MessageId};
use crate::kernel::Kernel;
use abi::code::*;
use abi::mig::mach_host::*;
use abi::port::Disposition;
use abi::voucher::MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE;

/// Words of a 64-bit handle.
const HANDLE_WORDS: usize = 2;

impl Kernel {
    /// Makes a call on the host.
    ///
    /// # Errors
    /// `MIG_BAD_ID` for an unknown call; `MIG_BAD_ARGUMENTS` and `MIG_TYPE_ERROR`; `KERN_INVALID_ARGUMENT` if `object`
    /// is not the host, or `KERN_INVALID_HOST` for a registration; those of the call.
    pub(super) fn serve_host(&mut self, caller: Context, object: KernelObject, id: i32, message: MessageId) -> Answer {
        match id {
            CREATE_MACH_VOUCHER => self.create_voucher_from(caller, object, message),
            REGISTER_MACH_VOUCHER_ATTR_MANAGER => self.refuse_manager::<HANDLE_WORDS>(object, message),
            REGISTER_WELL_KNOWN_MACH_VOUCHER_ATTR_MANAGER => {
                self.refuse_manager::<{ HANDLE_WORDS + 1 }>(object, message)
            }
            _ => Err(MIG_BAD_ID),
        }
    }

    /// `host_create_mach_voucher`: answers with a send right to a voucher. Names in the recipes are the caller's.
    fn create_voucher_from(&mut self, caller: Context, object: KernelObject, message: MessageId) -> Answer {
        let recipes = self.ipc.request_array::<0, 0>(message, MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE)?.bytes;
        if object != KernelObject::Host {
            return Err(KERN_INVALID_ARGUMENT);
        }
        let mut copy = store::try_with_capacity(recipes.len()).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        copy.extend_from_slice(recipes);
        let client = self.client(caller);
        let Kernel { ipc, step, vouchers, .. } = self;
        Ok(Reply::Port(vouchers.create(ipc, step, &client, &copy)?.into(), Disposition::PORT_SEND))
    }

    /// `host_register_mach_voucher_attr_manager` and its variant for a well-known key, with `N` words of arguments:
    /// programs cannot register managers.
    fn refuse_manager<const N: usize>(&self, object: KernelObject, message: MessageId) -> Answer {
        let _arguments: [u32; N] = self.ipc.request_arguments(message, 1)?;
        self.ipc.check_send_rights(message)?;
        let refusal = voucher::host_register_attr_manager(object == KernelObject::Host);
        refusal.map(|()| Reply::none()).map_err(voucher::Error::code)
    }
}
