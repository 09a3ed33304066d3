//! Operations that read vouchers, and the dump.

use super::text::{bytes, code, content, handle, hex, number_in, string_in};
use super::world::{Manager, World};
use abi::code::{MACH_SEND_INVALID_DEST, MIG_ARRAY_TOO_LARGE};
use abi::voucher::MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE;
use serde_json::{Value, json};
use voucher::managers::bank::{BankElement, CURRENT_TASK};
use voucher::*;

/// The bytes of a buffer before a call.
const UNWRITTEN: u8 = 0xAA;

/// Returns the notation of recipes.
fn recipes(raw: &[u8]) -> Vec<Value> {
    let text =
        |recipe: RawRecipe<'_>| json!({"key": recipe.key, "command": recipe.command, "content": hex(recipe.content)});
    RecipeArray::new(raw).filter_map(Result::ok).map(text).collect()
}

/// Returns the answer for an extraction.
fn extracted(result: Result<usize, Error>, buffer: &[u8]) -> Value {
    match result {
        Ok(size) => {
            let raw = &buffer[..size];
            json!({"kr": 0, "size_out": size, "recipes": recipes(raw), "raw": hex(raw)})
        }
        Err(error) => json!({"kr": error.code().0, "size_out": buffer.len()}),
    }
}

impl World {
    /// Returns the notation of a value.
    pub fn value_text(&self, key: Key, value: u64) -> String {
        match &self.managers[key.slot()] {
            Some(Manager::UserData(pool)) => self.pools[*pool].content(value).map(content),
            Some(Manager::Bank(_)) => self.bank_text(value),
            _ => None,
        }
        .unwrap_or_else(|| handle(value))
    }

    pub fn extract_content_operation(&mut self, operation: &Value) -> Value {
        let (caller, voucher) = (self.caller(), self.voucher_in(operation, "voucher"));
        let mut buffer = vec![UNWRITTEN; number_in(operation, "size") as usize];
        let mut out = OutBuffer::new(&mut buffer);
        let result = extract_attr_content(self, &caller, voucher, number_in(operation, "key"), &mut out);
        let size = out.size();
        let mut answer = json!({"kr": code(&result), "size_out": size});
        if result.is_ok() {
            answer["content"] = json!(hex(&buffer[..size]));
        }
        answer
    }

    pub fn extract_recipe(&mut self, operation: &Value) -> Value {
        let (caller, voucher) = (self.caller(), self.voucher_in(operation, "voucher"));
        let size = number_in(operation, "size") as usize;
        if operation["via"] == "trap" {
            if size > MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE {
                return json!({"kr": MIG_ARRAY_TOO_LARGE.0, "size_out": size});
            }
            if voucher.is_none() {
                return json!({"kr": MACH_SEND_INVALID_DEST.0, "size_out": size});
            }
        }
        let mut buffer = vec![UNWRITTEN; size];
        let result = extract_attr_recipe(self, &caller, voucher, number_in(operation, "key"), &mut buffer);
        extracted(result, &buffer)
    }

    pub fn extract_all(&mut self, operation: &Value) -> Value {
        let voucher = self.voucher_in(operation, "voucher");
        self.extract_all_of(voucher, number_in(operation, "size"))
    }

    pub fn extract_all_of(&mut self, voucher: Option<VoucherId>, size: u32) -> Value {
        let mut buffer = vec![UNWRITTEN; size as usize];
        let caller = self.caller();
        let result = extract_all_attr_recipes(self, &caller, voucher, &mut buffer);
        extracted(result, &buffer)
    }

    pub fn attr_command(&mut self, operation: &Value) -> Value {
        let (caller, voucher) = (self.caller(), self.voucher_in(operation, "voucher"));
        let (key, command) = (number_in(operation, "key"), number_in(operation, "command"));
        let mut buffer = vec![UNWRITTEN; number_in(operation, "out_size") as usize];
        let mut out = OutBuffer::new(&mut buffer);
        let input = bytes(string_in(operation, "in"));
        let result = voucher::attr_command(self, &caller, voucher, key, command, &input, &mut out);
        let size = out.size();
        let mut answer = json!({"kr": code(&result), "size_out": size});
        if result.is_ok() {
            answer["content"] = json!(hex(&buffer[..size]));
        }
        answer
    }

    pub fn get_values(&mut self, operation: &Value) -> Value {
        let (control, voucher) = (self.control_in(operation), self.voucher_in(operation, "voucher"));
        let max = number_in(operation, "max");
        match self.registry.control_get_values(control, voucher, max as usize) {
            Ok(value) => {
                let text = |value| control.map(|key| self.value_text(key, value));
                let values: Vec<String> = value.into_iter().filter_map(text).collect();
                json!({"kr": 0, "count_out": values.len(), "values": values})
            }
            Err(error) => json!({"kr": error.code().0, "count_out": max}),
        }
    }

    pub fn priority(&mut self, operation: &Value) -> Value {
        match message_priority(self, self.voucher_in(operation, "voucher")) {
            Ok(priority) => json!({"kr": 0, "priority": priority}),
            Err(error) => json!({"kr": error.code().0}),
        }
    }

    pub fn dump(&mut self) -> Value {
        let voucher = |(number, &id): (&u32, &VoucherId)| {
            let (refs, attributes) = (self.refs(id), self.attributes(id));
            json!({"voucher": format!("v{number}"), "refs": refs, "attrs": attributes})
        };
        let vouchers: Vec<Value> = self.vouchers.iter().map(voucher).collect();
        let (mut values, mut controls) = (Vec::new(), Vec::new());
        for key in Key::all() {
            let Some(control) = self.registry.control(key) else { continue };
            controls.push(json!({"key": key.number(), "refs": control.refs()}));
            values.extend(control.values().map(|(_, value)| self.dump_value(key, value)));
        }
        json!({"vouchers": vouchers, "values": values, "controls": controls})
    }

    fn dump_value(&self, key: Key, value: &AttributeValue) -> Value {
        let mut dump = json!({
            "key": key.number(), "value": self.value_text(key, value.handle()), "refs": value.refs(),
            "made": value.made(), "persist": value.is_persistent(),
        });
        match &self.managers[key.slot()] {
            Some(Manager::Artificial(artificial)) => dump["manager_made"] = json!(artificial.made(value.handle())),
            Some(Manager::UserData(pool)) => {
                dump["manager_made"] = json!(self.pools[*pool].made(value.handle()).unwrap_or(0));
            }
            Some(Manager::Bank(bank)) if value.handle() != CURRENT_TASK => match bank.element_of(value.handle()) {
                Some((_, BankElement::Task(task))) => {
                    dump["manager_made"] = json!(task.made());
                    dump["manager_refs"] = json!(task.refs());
                }
                // The reference holds one reference for all vouchers together.
                Some((_, BankElement::Account(account))) => {
                    dump["manager_made"] = json!(account.made());
                    dump["manager_refs"] = json!(1);
                }
                None => {}
            },
            _ => {}
        }
        dump
    }
}
