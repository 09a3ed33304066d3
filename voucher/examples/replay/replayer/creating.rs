//! Operations that create vouchers.

use super::arrays::{KernelArray, array};
use super::text::{bytes, string_in};
use super::world::World;
use abi::code::{MACH_SEND_INVALID_DEST, MIG_ARRAY_TOO_LARGE};
use abi::voucher::MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE;
use serde_json::{Map, Value, json};
use voucher::*;

/// The `msgh_bits` of a message with a moved voucher.
const VOUCHER_MOVED: u32 = 0x0011_0000;

type Created = Result<Option<VoucherId>, Error>;

impl World {
    pub fn create(&mut self, operation: &Value) -> Value {
        let kernel = matches!(string_in(operation, "via"), "kernel" | "control");
        let array = array(self, operation, kernel);
        self.create_from(operation, &array)
    }

    pub fn create_raw(&mut self, operation: &Value) -> Value {
        let array = bytes(string_in(operation, "raw"));
        self.create_from(operation, &array)
    }

    fn create_from(&mut self, operation: &Value, array: &[u8]) -> Value {
        let caller = self.caller();
        let control = self.control_in(operation);
        let mut named = NamedRecipes::new(array, |world: &mut World, name| world.named(name));
        let via = string_in(operation, "via");
        let created = match via {
            "host" => create_voucher(self, &caller, &mut named).expect_done(),
            "trap" if array.len() > MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE => {
                return json!({"kr": MIG_ARRAY_TOO_LARGE.0, "voucher": "untouched"});
            }
            "trap" => match create_voucher(self, &caller, &mut named).expect_done() {
                Ok(voucher) => Ok(voucher.inspect(|&voucher| self.through_a_send_right(voucher))),
                Err(error) => return json!({"kr": error.code().0, "voucher": "untouched"}),
            },
            "ucontrol" => create_voucher_with_control(self, &caller, control, &mut named).expect_done(),
            "control" => {
                create_voucher_with_control(self, &caller, control, &mut KernelArray::new(array)).expect_done()
            }
            "host_null" => return json!({"kr": Error::InvalidArgument.code().0, "voucher": "untouched"}),
            "trap_null" => return json!({"kr": MACH_SEND_INVALID_DEST.0, "voucher": "untouched"}),
            _ => create_voucher(self, &caller, &mut KernelArray::new(array)).expect_done(),
        };
        self.created(created)
    }

    /// Returns the answer for a creation by a trap. The send right of its name is turned back into a reference.
    fn through_a_send_right(&mut self, voucher: VoucherId) {
        self.make_send_right(voucher);
        self.registry.retain(voucher).expect("there are few references");
        self.drop_send_right(voucher);
    }

    fn created(&mut self, created: Created) -> Value {
        match created {
            Ok(voucher) => self.answer(voucher),
            Err(error) => json!({"kr": error.code().0, "voucher": "null"}),
        }
    }

    /// Returns the answer for a success with this voucher.
    fn answer(&mut self, voucher: Option<VoucherId>) -> Value {
        let mut answer = json!({"kr": 0, "voucher": self.name(voucher)});
        if let Some(voucher) = voucher {
            answer["refs"] = self.refs(voucher);
            answer["attrs"] = self.attributes(voucher);
        }
        answer
    }

    /// Returns the attributes of a voucher, by key.
    pub fn attributes(&self, voucher: VoucherId) -> Value {
        let attributes = self.registry.attributes(voucher);
        let texts = attributes.map(|(key, handle)| (key.number().to_string(), json!(self.value_text(key, handle))));
        Value::Object(texts.collect::<Map<_, _>>())
    }

    pub fn default_voucher(&mut self, operation: &Value) -> Value {
        let caller = match string_in(operation, "task") {
            "kernel" => CallingTask::KERNEL,
            "nobank" => CallingTask { bank: None, ..self.caller() },
            _ => self.caller(),
        };
        let voucher = default_voucher(self, &caller).expect_done().unwrap_or(None);
        self.answer(voucher)
    }

    /// Processes the voucher of a message that is sent or received.
    pub fn process(&mut self, operation: &Value) -> Value {
        let receives = operation["op"] == "receive_postprocess";
        let wanted = !receives || operation["rcv_voucher"].as_bool().unwrap_or(false);
        let caller = if string_in(operation, "task") == "kernel" { CallingTask::KERNEL } else { self.caller() };
        let attached = self.voucher_in(operation, "voucher");
        let processed = match attached.filter(|_| wanted) {
            Some(voucher) if receives => receive_postprocessing(self, &caller, voucher),
            Some(voucher) => send_preprocessing(self, &caller, voucher),
            None => ProcessedVoucher::Unchanged,
        };
        let (voucher, replaced) = match processed {
            ProcessedVoucher::Unchanged => {
                if let Some(voucher) = attached {
                    self.registry.retain(voucher).expect("there are few references");
                }
                (attached, false)
            }
            ProcessedVoucher::Replaced(voucher) => (voucher, true),
            ProcessedVoucher::Waiting(..) => panic!("every manager of a trace answers at once"),
        };
        let mut answer = self.answer(voucher);
        answer["msgh_bits"] = json!(if replaced && receives { VOUCHER_MOVED } else { 0 });
        answer
    }
}
