//! Calls that read vouchers (vouchers 4.3 to 4.8).

use crate::driver::Driver;
use crate::manager::{CallingTask, CommandRequest, OutBuffer};
use crate::recipe::{RECIPE_HEADER_SIZE, write_header};
use crate::voucher::VoucherId;
use crate::{Error, Key};
use abi::voucher::MACH_VOUCHER_ATTR_NOOP;

/// Extracts the content of one attribute of a live voucher: `mach_voucher_extract_attr_content`. The content of an
/// absent attribute, and of a key out of range, is empty (vouchers 4.4).
///
/// # Errors
/// [`Error::InvalidArgument`] without a voucher; those of the manager; [`Error::Failure`] if the manager claims a size
/// beyond the buffer. The size of `out` is then the one that the manager left.
pub fn extract_attr_content<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
    voucher: Option<VoucherId>,
    key: u32,
    out: &mut OutBuffer<'_>,
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

/// Returns the key and the handle of an attribute, or `None` if it is absent or the key is out of range.
fn present<D: Driver + ?Sized>(driver: &D, voucher: VoucherId, key: u32) -> Option<(Key, u64)> {
    let key = Key::new(key)?;
    driver.registry_ref().handle(voucher, key).map(|handle| (key, handle))
}

/// Extracts one attribute of a live voucher as a recipe into `buffer`: `mach_voucher_extract_attr_recipe`. Returns the
/// number of bytes written, which is 0 for an absent attribute and for a key out of range (vouchers 4.3).
///
/// # Errors
/// [`Error::InvalidArgument`] without a voucher; [`Error::NoSpace`] if the buffer is shorter than a header; those of
/// the manager; [`Error::Failure`] if the manager claims a size beyond the buffer. The content of the buffer is then
/// unspecified.
pub fn extract_attr_recipe<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
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

/// Writes one attribute to the beginning of `buffer` and returns the length of the recipe.
fn write_recipe<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
    key: Key,
    handle: u64,
    buffer: &mut [u8],
) -> Result<usize, Error> {
    let room = buffer.len().checked_sub(RECIPE_HEADER_SIZE).ok_or(Error::NoSpace)?;
    // The header is defined even if the manager fails. The manager gets only the rest of the buffer.
    write_header(buffer, key.number(), MACH_VOUCHER_ATTR_NOOP, room);
    let mut out = OutBuffer::new(&mut buffer[RECIPE_HEADER_SIZE..]);
    let command = driver.extract_content(caller, key, handle, &mut out)?;
    let size = out.checked_size()?;
    write_header(buffer, key.number(), command, size);
    Ok(RECIPE_HEADER_SIZE + size)
}

/// Extracts all attributes of a live voucher as recipes into `buffer`, in the order of the keys:
/// `mach_voucher_extract_all_attr_recipes`. Returns the number of bytes written (vouchers 4.5).
///
/// # Errors
/// As for [`extract_attr_recipe`].
pub fn extract_all_attr_recipes<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
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

/// Executes a manager's command on the value of a live voucher, or on the default value: `mach_voucher_attr_command`
/// (vouchers 4.6).
///
/// # Errors
/// [`Error::InvalidArgument`] without a voucher, or if the key has no manager; those of the manager; [`Error::Failure`]
/// if the manager claims a size beyond the buffer.
pub fn attr_command<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
    voucher: Option<VoucherId>,
    key: u32,
    command: u32,
    input: &[u8],
    out: &mut OutBuffer<'_>,
) -> Result<(), Error> {
    let voucher = voucher.ok_or(Error::InvalidArgument)?;
    let key = Key::new(key).filter(|&key| driver.registry_ref().control(key).is_some());
    let key = key.ok_or(Error::InvalidArgument)?;
    let handle = driver.registry_ref().handle(voucher, key);
    driver.command(caller, &CommandRequest { key, handle, command, input }, out)?;
    out.checked_size()?;
    Ok(())
}

/// Refuses `mach_voucher_debug_info`, as a release kernel does for all arguments (vouchers 4.7).
///
/// # Errors
/// Always [`Error::NotSupported`].
pub const fn debug_info() -> Result<(), Error> {
    Err(Error::NotSupported)
}

/// Refuses `host_register_mach_voucher_attr_manager` and `host_register_well_known_mach_voucher_attr_manager`: programs
/// cannot register managers (vouchers 4.9). `host` is true if the caller named a host port.
///
/// # Errors
/// Always: [`Error::InvalidHost`] without a host, else [`Error::NotSupported`].
pub const fn host_register_attr_manager(host: bool) -> Result<(), Error> {
    if host { Err(Error::NotSupported) } else { Err(Error::InvalidHost) }
}
