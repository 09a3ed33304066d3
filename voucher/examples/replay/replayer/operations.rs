//! The table of operations.

use super::text::{code, number_in, string_in};
use super::world::World;
use serde_json::{Value, json};
use voucher::{debug_info, host_register_attr_manager};

impl World {
    /// Carries out an operation and returns its answer.
    pub fn operation(&mut self, operation: &Value) -> Value {
        let op = string_in(operation, "op");
        match op {
            "create" => self.create(operation),
            "create_raw" => self.create_raw(operation),
            "send_preprocess" | "receive_postprocess" => self.process(operation),
            "default_voucher" => self.default_voucher(operation),
            "retain" => self.retain(operation),
            "release" => self.release(operation),
            "to_port" => self.make_port(operation),
            "from_port" => self.retain_through_port(operation),
            "port_release" => self.release_port(operation),
            "convert_port" => json!({"voucher": "null"}),
            "register" => self.register_operation(operation),
            "control_retain" | "control_release" => self.hold_control(operation),
            "control_port_convert" => self.convert_control(operation),
            "control_get_values" => self.get_values(operation),
            "host_register" => {
                let host = operation["host"].as_bool().unwrap_or(false);
                json!({"kr": code(&host_register_attr_manager(host))})
            }
            "extract_content" => self.extract_content_operation(operation),
            "extract_recipe" => self.extract_recipe(operation),
            "extract_all" => self.extract_all(operation),
            "debug_info" => self.debug_info(operation),
            "attr_command" => self.attr_command(operation),
            "pthpriority_from_message" => self.priority(operation),
            "activity_id" => match self.activity.generate(operation["count"].as_i64().unwrap_or(0) as i32) {
                Ok(id) => json!({"kr": 0, "id": id}),
                Err(error) => json!({"kr": error.code().0}),
            },
            "test_make" | "test_unmake" => self.change_made(operation, op == "test_make"),
            "hook" => json!({"armed": self.arm(operation)}),
            "dump" => self.dump(),
            "end" => json!({"activity": self.activity.next()}),
            _ if op.starts_with("bank_") => self.banking(operation),
            _ => json!({"unknown operation": op}),
        }
    }

    fn debug_info(&mut self, operation: &Value) -> Value {
        let size = number_in(operation, "size");
        if !self.development {
            return json!({"kr": code(&debug_info()), "size_out": size});
        }
        // A development build looks up the name and extracts all attributes (vouchers 4.7).
        let name = number_in(operation, "name");
        match self.voucher_in(operation, "voucher").or_else(|| self.named(name)) {
            Some(voucher) => self.extract_all_of(Some(voucher), size),
            None if name & 0xFF == 7 => json!({"kr": 5, "size_out": size}),
            None => json!({"kr": 4, "size_out": size}),
        }
    }
}
