//! Operations on the bank (FORMAT.md, section 8).

use super::text::{number_in, string_in};
use super::world::{BANK_SETTINGS, World};
use abi::voucher::{PERSONA_ID_NONE, ProcPersonaInfo};
use serde_json::{Value, json};
use voucher::managers::bank::*;
use voucher::{Driver, Key};

/// Returns the bank of bank traces, with its personas.
pub fn bank() -> Bank {
    let mut bank = Bank::new(1, BANK_SETTINGS);
    let personas = bank.personas_mut();
    personas.set_system(2).expect("there is memory");
    personas.set_system_proxy(3).expect("there is memory");
    (500..520).for_each(|id| personas.add(id).expect("there is memory"));
    bank
}

fn persona_text(id: u32) -> i64 {
    if id == PERSONA_ID_NONE { -1 } else { i64::from(id) }
}

fn identity(operation: &Value) -> TaskIdentity {
    let (pid, persona_id) = (number_in(operation, "pid"), number_in(operation, "persona"));
    let entitled = |name: &str| operation["entitlements"].as_array().is_some_and(|list| list.contains(&json!(name)));
    let info = ProcPersonaInfo {
        unique_pid: operation["unique_pid"].as_u64().unwrap_or(0),
        pid: pid as i32,
        flags: 0,
        pidversion: 1,
        persona_id,
        uid: 501,
        gid: 20,
        macho_uuid: std::array::from_fn(|number| (pid as usize + number) as u8),
    };
    TaskIdentity {
        info,
        platform_binary: number_in(operation, "platform") != 0,
        no_propagate: entitled("no-propagate"),
        adopt_any: entitled("adopt-any"),
        modify_persona: entitled("modify"),
        group: u64::from(number_in(operation, "group")),
        app: number_in(operation, "app") != 0,
    }
}

impl World {
    fn pid(&self, id: BankElementId) -> i32 {
        match self.bank().and_then(|bank| bank.element(id)) {
            Some(BankElement::Task(task)) => task.identity().info.pid,
            _ => -1,
        }
    }

    /// Returns the notation of a bank value.
    pub fn bank_text(&self, handle: u64) -> Option<String> {
        if handle == CURRENT_TASK {
            return Some("bank-task:self".to_owned());
        }
        Some(match self.bank()?.element_of(handle)? {
            (id, BankElement::Task(_)) => format!("bank-task:{}", self.pid(id)),
            (_, BankElement::Account(account)) => {
                let Roles { holder, merchant, originator, proximate, persona, group } = *account.roles();
                format!(
                    "bank-account:holder={},merchant={},originator={},proximate={},group={group},persona={}",
                    self.pid(holder),
                    self.pid(merchant),
                    self.pid(originator),
                    self.pid(proximate),
                    persona_text(persona),
                )
            }
        })
    }

    pub fn banking(&mut self, operation: &Value) -> Value {
        let pid = number_in(operation, "pid");
        match string_in(operation, "op") {
            "bank_task" => {
                let task = self.bank_mut().and_then(|bank| bank.begin_task(identity(operation)).ok());
                json!({"ok": task.map(|task| self.tasks.insert(pid, task)).is_some()})
            }
            "bank_switch" => {
                self.current = Some(pid);
                json!({"ok": self.tasks.contains_key(&pid)})
            }
            "bank_exit" => self.exit(pid),
            "bank_adopt" => self.adopt(operation),
            "bank_preadopt" => {
                let (Some(task), handle) = (self.caller().bank, self.bank_handle(operation)) else { return json!({}) };
                let group = self.bank().and_then(|bank| bank.group(task, handle));
                json!({"kr": 0, "group": group.unwrap_or(0)})
            }
            "bank_balance" => {
                let balance = self.tasks.get(&pid).and_then(|&task| self.bank().map(|bank| bank.balance(task)));
                let Some(Balance { billed, serviced }) = balance else { return json!({}) };
                json!({
                    "billed_cpu": billed.cpu, "billed_energy": billed.energy,
                    "serviced_cpu": serviced.cpu, "serviced_energy": serviced.energy,
                })
            }
            op => json!({"unknown operation": op}),
        }
    }

    fn bank_handle(&self, operation: &Value) -> Option<u64> {
        self.registry_ref().handle(self.voucher_in(operation, "voucher")?, Key::BANK)
    }

    fn exit(&mut self, pid: u32) -> Value {
        let Some(task) = self.tasks.remove(&pid) else { return json!({}) };
        let Some(bank) = self.bank_mut() else { return json!({}) };
        let refs = match bank.element(task) {
            Some(BankElement::Task(task)) => task.refs(),
            _ => 0,
        };
        bank.end_task(task);
        json!({"bank_task_refs_before": refs})
    }

    fn adopt(&mut self, operation: &Value) -> Value {
        let (Some(task), handle) = (self.caller().bank, self.bank_handle(operation)) else { return json!({}) };
        let usage = |field: &str| operation[field].as_u64().unwrap_or(0);
        let Some(bank) = self.bank_mut() else { return json!({}) };
        let Adoption { bill, group, persona } = bank.adopt(task, handle);
        if let Some(bill) = bill {
            bank.charge(bill, Usage { cpu: usage("cpu"), energy: usage("energy") });
        }
        json!({
            "kr": 0, "ledger": bill.is_some(), "group": group.unwrap_or(0), "persona": persona_text(persona),
        })
    }
}
