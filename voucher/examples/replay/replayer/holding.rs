//! Operations on references: of vouchers, of their ports, of controls.

use super::text::{code, handle_in, number_in};
use super::world::World;
use serde_json::{Value, json};
use voucher::{AttributeControl, Key, VoucherId, destroy_voucher, release_control, release_voucher};

impl World {
    pub fn retain(&mut self, operation: &Value) -> Value {
        let Some(voucher) = self.voucher_in(operation, "voucher") else { return json!({"refs": null}) };
        self.registry.retain(voucher).expect("there are few references");
        json!({"refs": self.refs(voucher)})
    }

    pub fn release(&mut self, operation: &Value) -> Value {
        let Some(voucher) = self.voucher_in(operation, "voucher") else { return json!({"refs": null}) };
        let left = release_voucher(self, voucher);
        assert!(left.is_none(), "every manager of a trace answers at once");
        json!({"refs": self.refs(voucher)})
    }

    /// Turns a reference of the caller into a send right.
    pub fn make_send_right(&mut self, voucher: VoucherId) {
        *self.send_rights.entry(voucher).or_default() += 1;
        self.registry.reference_to_send_right(voucher);
    }

    pub fn drop_send_right(&mut self, voucher: VoucherId) {
        let rights = self.send_rights.entry(voucher).or_default();
        *rights = rights.saturating_sub(1);
        if *rights == 0 {
            self.send_rights.remove(&voucher);
            if let Some(dead) = self.registry.no_senders(voucher) {
                let left = destroy_voucher(self, dead);
                assert!(left.is_none(), "every manager of a trace answers at once");
            }
        }
    }

    fn send_rights(&self, voucher: VoucherId) -> Value {
        json!(self.send_rights.get(&voucher).copied().unwrap_or(0))
    }

    pub fn make_port(&mut self, operation: &Value) -> Value {
        let Some(voucher) = self.voucher_in(operation, "voucher") else { return json!({"port": false}) };
        self.make_send_right(voucher);
        json!({"port": true, "refs": self.refs(voucher), "send_rights": self.send_rights(voucher)})
    }

    pub fn retain_through_port(&mut self, operation: &Value) -> Value {
        let Some(voucher) = self.voucher_in(operation, "voucher") else { return json!({"voucher": "null"}) };
        self.registry.retain(voucher).expect("there are few references");
        let (name, refs) = (self.name(Some(voucher)), self.refs(voucher));
        json!({"voucher": name, "refs": refs, "send_rights": self.send_rights(voucher)})
    }

    pub fn release_port(&mut self, operation: &Value) -> Value {
        let Some(voucher) = self.voucher_in(operation, "voucher") else { return json!({"refs": null}) };
        self.drop_send_right(voucher);
        json!({"refs": self.refs(voucher), "send_rights": self.send_rights(voucher)})
    }

    pub fn register_operation(&mut self, operation: &Value) -> Value {
        let result = self.register(operation);
        json!({"kr": code(&result), "control": result.is_ok()})
    }

    pub fn hold_control(&mut self, operation: &Value) -> Value {
        let Some(key) = self.control_in(operation) else { return json!({"registered": false, "refs": 0}) };
        if operation["op"] == "control_retain" {
            self.registry.retain_control(key);
        } else {
            release_control(self, key);
        }
        let control = self.registry.control(key);
        json!({"registered": control.is_some(), "refs": control.map_or(0, AttributeControl::refs)})
    }

    /// Converts the port of a control: a program gets no access to the control (vouchers 4.8), and no reference is lost
    /// (quirk Q11).
    pub fn convert_control(&mut self, operation: &Value) -> Value {
        let key = self.control_in(operation);
        let refs = key.and_then(|key| self.registry.control(key)).map_or(0, AttributeControl::refs);
        json!({"control": false, "refs_before": refs, "refs_after": refs, "refs_end": refs})
    }

    pub fn change_made(&mut self, operation: &Value, up: bool) -> Value {
        let value = handle_in(operation, "value");
        let artificial = Key::new(number_in(operation, "key")).and_then(|key| self.artificial(key));
        let Some(artificial) = artificial else { return json!({}) };
        artificial.change(value, up);
        json!({"made": artificial.made(value)})
    }
}
