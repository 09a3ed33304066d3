//! Messages to the ports of vouchers, and about the controls of attributes (vouchers 4.3 to 4.8).

use super::request::RequestArray;
use super::{Answer, KernelObject, Reply};
use crate::ids::{Context, MessageId};
use crate::kernel::Kernel;
use abi::code::*;
use abi::mig::{mach_voucher, mach_voucher_attr_control as control};
use abi::voucher::{MACH_VOUCHER_ATTR_CONTENT_MAX as CONTENT_MAX, MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE};

const ARRAY_MAX: usize = MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE;

impl Kernel {
    /// Makes a call on a voucher. Results are cut to the longest that a reply carries (vouchers 2.3).
    ///
    /// # Errors
    /// `MIG_BAD_ID` for an unknown call; `MIG_BAD_ARGUMENTS`; `KERN_INVALID_ARGUMENT` if `object` is not a voucher;
    /// those of the call.
    pub(super) fn serve_voucher(
        &mut self,
        caller: Context,
        object: KernelObject,
        id: i32,
        message: MessageId,
    ) -> Answer {
        let client = self.client(caller);
        let voucher = match object {
            KernelObject::Voucher(voucher) => Some(voucher),
            _ => None,
        };
        let Kernel { ipc, vouchers, .. } = self;
        match id {
            mach_voucher::EXTRACT_ATTR_CONTENT => {
                let [key, room] = ipc.request_arguments(message, 0)?;
                let room = CONTENT_MAX.min(room as usize);
                Reply::bytes(room, |bytes| vouchers.extract_content(ipc, &client, voucher, key, bytes))
            }
            mach_voucher::EXTRACT_ATTR_RECIPE => {
                let [key, room] = ipc.request_arguments(message, 0)?;
                let room = CONTENT_MAX.min(room as usize);
                Reply::bytes(room, |bytes| vouchers.extract_recipe(ipc, &client, voucher, key, bytes))
            }
            mach_voucher::EXTRACT_ALL_ATTR_RECIPES => {
                let [room] = ipc.request_arguments(message, 0)?;
                let room = ARRAY_MAX.min(room as usize);
                Reply::bytes(room, |bytes| vouchers.extract_all_recipes(ipc, &client, voucher, bytes))
            }
            mach_voucher::ATTR_COMMAND => {
                let request = ipc.request_array(message, CONTENT_MAX)?;
                let RequestArray { before: [key, command], bytes: input, after: [room] } = request;
                let room = CONTENT_MAX.min(room as usize);
                // A copy, because the message belongs to the owner that the manager may change.
                let mut argument = store::try_vec(0, input.len()).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
                argument.copy_from_slice(input);
                Reply::bytes(room, |bytes| vouchers.command(ipc, &client, voucher, (key, command), &argument, bytes))
            }
            mach_voucher::DEBUG_INFO => {
                let [_name, _room] = ipc.request_arguments(message, 0)?;
                Err(KERN_NOT_SUPPORTED)
            }
            _ => Err(MIG_BAD_ID),
        }
    }

    /// Makes a call on the control of an attribute. No program has the port of a control, so every port stands for none
    /// (vouchers 4.8).
    ///
    /// # Errors
    /// `MIG_BAD_ID` for an unknown call; `MIG_BAD_ARGUMENTS` and `MIG_TYPE_ERROR`; otherwise `KERN_INVALID_CAPABILITY`.
    pub(super) fn serve_attr_control(&mut self, id: i32, message: MessageId) -> Answer {
        match id {
            control::GET_VALUES => {
                let [_room] = self.ipc.request_arguments(message, 1)?;
                self.ipc.check_send_rights(message)?;
            }
            control::CREATE_MACH_VOUCHER => {
                self.ipc.request_array::<0, 0>(message, ARRAY_MAX)?;
            }
            _ => return Err(MIG_BAD_ID),
        }
        Err(KERN_INVALID_CAPABILITY)
    }
}
