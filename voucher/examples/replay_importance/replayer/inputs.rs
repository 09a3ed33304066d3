//! The fields of an operation.

use super::super::world::World;
use serde_json::Value;
use voucher::VoucherId;
use voucher::importance::PortNumber;

/// An operation of a trace with the world in which its names mean something.
pub struct Inputs<'a> {
    operation: &'a Value,
}

impl<'a> Inputs<'a> {
    /// Returns the inputs of an operation.
    pub const fn new(operation: &'a Value) -> Self {
        Inputs { operation }
    }

    /// Returns a field, if it is there.
    pub fn get(&self, field: &str) -> Option<&'a Value> {
        self.operation.get(field).filter(|value| !value.is_null())
    }

    /// Returns a field that is a text.
    pub fn text(&self, field: &str) -> Result<&'a str, String> {
        self.get(field).and_then(Value::as_str).ok_or_else(|| format!("the field {field} is missing"))
    }

    /// Returns a field that is a number.
    pub fn number(&self, field: &str) -> Result<u64, String> {
        self.get(field).and_then(Value::as_u64).ok_or_else(|| format!("the field {field} is missing"))
    }

    /// Returns a field that is 0 or 1, false or true; false without the field.
    pub fn flag(&self, field: &str) -> bool {
        self.get(field).is_some_and(|value| value.as_bool().unwrap_or_else(|| value.as_u64().is_some_and(|n| n != 0)))
    }

    /// Returns the texts of a list.
    pub fn texts(&self, field: &str) -> Vec<&'a str> {
        self.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Returns a field that names a live task.
    pub fn task(&self, world: &World, field: &str) -> Result<&'a str, String> {
        let name = self.text(field)?;
        world.kernel.task_number(name).map(|_| name).ok_or_else(|| format!("there is no task {name}"))
    }

    /// Returns a field that names a live port.
    pub fn live_port(&self, world: &World, field: &str) -> Result<&'a str, String> {
        let name = self.text(field)?;
        let number = port(world, name)?;
        world.kernel.port_of(number).map(|_| name).ok_or_else(|| format!("the port {name} is dead"))
    }

    /// Returns a field that names a voucher.
    pub fn voucher(&self, world: &World, field: &str) -> Result<VoucherId, String> {
        voucher(world, self.text(field)?)
    }
}

/// Returns the number of a port, dead or alive.
pub fn port(world: &World, name: &str) -> Result<PortNumber, String> {
    world.kernel.port_number(name).ok_or_else(|| format!("there is no port {name}"))
}

/// Returns a live voucher.
pub fn voucher(world: &World, name: &str) -> Result<VoucherId, String> {
    let mut named = world.voucher_names.iter().filter(|(_, other)| *other == name).map(|(&id, _)| id);
    let found = named.find(|&id| world.vouchers.registry.get(id).is_some());
    found.ok_or_else(|| format!("there is no voucher {name}"))
}

/// Returns the number of a message name such as "m12".
pub fn message(name: &str) -> Result<u32, String> {
    name.strip_prefix('m').and_then(|number| number.parse().ok()).ok_or_else(|| format!("{name} is no message"))
}

/// Returns the bytes of a text of hexadecimal digits.
pub fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let digit = |at: usize| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..hex.len()).step_by(2).map(|at| digit(at).ok_or_else(|| format!("{hex} is not hexadecimal"))).collect()
}
