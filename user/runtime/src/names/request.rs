//! The requests to the name service, decoded.

use super::job::Job;
use crate::view::{Descriptor, View};
use abi::code::*;
use abi::mig::NDR;
use abi::mig::bootstrap::*;
use abi::port::Disposition;
use abi::{KernReturn, PortName};
use alloc::boxed::Box;

/// The name of a service, padded with zeros.
pub(super) type Name = [u8; NAME_SIZE];

/// Returns the name as a request contains it.
///
/// # Errors
/// `KERN_INVALID_ARGUMENT` if it is too long.
pub(super) fn padded(name: &str) -> Result<Name, KernReturn> {
    let mut bytes = [0; NAME_SIZE];
    bytes.get_mut(..name.len()).ok_or(KERN_INVALID_ARGUMENT)?.copy_from_slice(name.as_bytes());
    Ok(bytes)
}

/// A request of the right shape.
#[derive(Debug)]
pub(super) enum Request {
    CheckIn(Name),
    Register(Name, PortName),
    LookUp(Name),
    Declare(Box<Job>),
    /// The name is empty if the sender wants its control port alone.
    CheckInService(Name),
    TerminateJob(Name),
}

impl Request {
    /// Decodes a request as a MIG stub does: first its id, then its shape, then the kind of its right.
    ///
    /// # Errors
    /// `MIG_BAD_ID`; `MIG_BAD_ARGUMENTS` for another size or number of descriptors; `MIG_TYPE_ERROR` for another kind
    /// of right; `KERN_INVALID_CAPABILITY` for a null or dead name; `KERN_INVALID_ARGUMENT` for a job that is none.
    pub(super) fn decode(request: &View<'_>) -> Result<Request, KernReturn> {
        let id = request.header().msgh_id;
        match id {
            REGISTER => {
                let right = request.only_descriptor().ok_or(MIG_BAD_ARGUMENTS)?;
                let name = name_in(request)?;
                match right {
                    Descriptor::Port(right) if right.disposition == Disposition::PORT_SEND => {
                        if !right.name.is_valid() {
                            return Err(KERN_INVALID_CAPABILITY);
                        }
                        Ok(Request::Register(name, right.name))
                    }
                    _ => Err(MIG_TYPE_ERROR),
                }
            }
            CHECK_IN | LOOK_UP | DECLARE | CHECK_IN_SERVICE | TERMINATE_JOB if request.is_complex() => {
                Err(MIG_BAD_ARGUMENTS)
            }
            CHECK_IN => Ok(Request::CheckIn(name_in(request)?)),
            LOOK_UP => Ok(Request::LookUp(name_in(request)?)),
            DECLARE => Ok(Request::Declare(Box::new(Job::decode(behind_ndr(request)?)?))),
            CHECK_IN_SERVICE => Ok(Request::CheckInService(name_in(request)?)),
            TERMINATE_JOB => Ok(Request::TerminateJob(name_in(request)?)),
            _ => Err(MIG_BAD_ID),
        }
    }
}

fn behind_ndr<'a>(request: &View<'a>) -> Result<&'a [u8], KernReturn> {
    request.body().get(NDR.len()..).ok_or(MIG_BAD_ARGUMENTS)
}

/// Returns the name in a request. It ends before the first zero byte: a C program may have any bytes behind that.
fn name_in(request: &View<'_>) -> Result<Name, KernReturn> {
    let mut name = Name::try_from(behind_ndr(request)?).map_err(|_| MIG_BAD_ARGUMENTS)?;
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
    name[end..].fill(0);
    Ok(name)
}
