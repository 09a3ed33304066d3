//! Reading vouchers (vouchers 4.3 to 4.8).

use crate::driver::Driver;
use crate::manager::{Caller, Output};
use crate::recipe::{HEADER, write_header};
use crate::voucher::VoucherId;
use crate::{Error, Key};
use abi::voucher::MACH_VOUCHER_ATTR_NOOP;

/// `mach_voucher_extract_attr_content`: what one attribute of a living voucher stands for. An absent attribute and a key
/// out of range have no content (vouchers 4.4).
///
/// # Errors
/// [`Error::InvalidArgument`] without a voucher; the manager's; [`Error::Failure`] if it claims more than there is room
/// for. The size of `out` is then what the manager left it at.
pub fn extract_attr_content<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &Caller,
    voucher: Option<VoucherId>,
    key: u32,
    out: &mut Output<'_>,
) -> Result<(), Error> {
    let voucher = voucher.ok_or(Error::InvalidArgument)?;
    let Some((key, handle)) = present(driver, voucher, key) else {
        out.clear();
        return Ok(());
    };
    driver.extract_content(caller, key, handle, out)?;
    out.checked_size()?;
    Ok(())
}

/// The key and the handle of an attribute that is present.
fn present<D: Driver + ?Sized>(driver: &D, voucher: VoucherId, key: u32) -> Option<(Key, u64)> {
    let key = Key::new(key)?;
    driver.registry_ref().handle(voucher, key).map(|handle| (key, handle))
}

/// `mach_voucher_extract_attr_recipe`: one attribute of a living voucher, as a recipe in `buffer`. Returns how many
/// bytes were written: 0 for an absent attribute and for a key out of range, whatever room there is (vouchers 4.3).
///
/// # Errors
/// [`Error::InvalidArgument`] without a voucher; [`Error::NoSpace`] for less than a header; the manager's;
/// [`Error::Failure`] if it claims more than there is room for. The content of the buffer is then unspecified.
pub fn extract_attr_recipe<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &Caller,
    voucher: Option<VoucherId>,
    key: u32,
    buffer: &mut [u8],
) -> Result<usize, Error> {
    let voucher = voucher.ok_or(Error::InvalidArgument)?;
    match present(driver, voucher, key) {
        Some((key, handle)) => write_recipe(driver, caller, key, handle, buffer),
        None => Ok(0),
    }
}

/// Writes one attribute at the beginning of `buffer` and returns its length.
fn write_recipe<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &Caller,
    key: Key,
    handle: u64,
    buffer: &mut [u8],
) -> Result<usize, Error> {
    let room = buffer.len().checked_sub(HEADER).ok_or(Error::NoSpace)?;
    // The manager may leave this as it is, and may look at nothing but the room for the content.
    write_header(buffer, key.number(), MACH_VOUCHER_ATTR_NOOP, room);
    let mut out = Output::new(&mut buffer[HEADER..]);
    let command = driver.extract_content(caller, key, handle, &mut out)?;
    let size = out.checked_size()?;
    write_header(buffer, key.number(), command, size);
    Ok(HEADER + size)
}

/// `mach_voucher_extract_all_attr_recipes`: all attributes of a living voucher, in the order of the keys, as recipes in
/// `buffer`. Returns how many bytes were written (vouchers 4.5).
///
/// # Errors
/// As for [`extract_attr_recipe`].
pub fn extract_all_attr_recipes<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &Caller,
    voucher: Option<VoucherId>,
    buffer: &mut [u8],
) -> Result<usize, Error> {
    let voucher = voucher.ok_or(Error::InvalidArgument)?;
    let mut used = 0;
    for key in Key::all() {
        if let Some(handle) = driver.registry_ref().handle(voucher, key) {
            used += write_recipe(driver, caller, key, handle, &mut buffer[used..])?;
        }
    }
    Ok(used)
}

/// `mach_voucher_attr_command`: a command of a manager's own on the value of a living voucher, or on the default
/// (vouchers 4.6).
///
/// # Errors
/// [`Error::InvalidArgument`] without a voucher, or if the key has no manager; the manager's; [`Error::Failure`] if it
/// claims more than there is room for.
pub fn attr_command<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &Caller,
    voucher: Option<VoucherId>,
    key: u32,
    command: u32,
    input: &[u8],
    out: &mut Output<'_>,
) -> Result<(), Error> {
    let voucher = voucher.ok_or(Error::InvalidArgument)?;
    let key = Key::new(key).filter(|&key| driver.registry_ref().control(key).is_some());
    let key = key.ok_or(Error::InvalidArgument)?;
    let handle = driver.registry_ref().handle(voucher, key);
    driver.command(caller, key, handle, command, input, out)?;
    out.checked_size()?;
    Ok(())
}

/// `mach_voucher_debug_info` of a release kernel: refused without a look at anything (vouchers 4.7).
///
/// # Errors
/// Always [`Error::NotSupported`].
pub const fn debug_info() -> Result<(), Error> {
    Err(Error::NotSupported)
}

/// `host_register_mach_voucher_attr_manager` and `host_register_well_known_mach_voucher_attr_manager`: programs cannot
/// register managers (vouchers 4.9). `host` says whether the port they named is a host's.
///
/// # Errors
/// Always: [`Error::InvalidHost`] without a host, else [`Error::NotSupported`].
pub const fn host_register_attr_manager(host: bool) -> Result<(), Error> {
    if host { Err(Error::NotSupported) } else { Err(Error::InvalidHost) }
}
