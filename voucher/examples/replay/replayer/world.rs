//! The world of a trace: registry, managers, names and references.

use super::artificial::{Artificial, Kind, STORE_WITH_VOUCHER};
use super::text::{handle, handle_in, hex, number_in, string_in};
use abi::voucher::{MACH_VOUCHER_ATTR_KEY_USER_DATA, MACH_VOUCHER_ATTR_USER_DATA_STORE};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, HashMap};
use std::task::Poll;
use voucher::managers::bank::{Bank, BankElementId, BankSettings};
use voucher::managers::pthpriority::PthPriority;
use voucher::managers::user_data::UserData;
use voucher::*;

/// The manager of a key.
pub enum Manager {
    Bank(Box<Bank>),
    /// User data, by the number of the world's pool.
    UserData(usize),
    PthPriority(PthPriority),
    Artificial(Artificial),
}

/// An operation that stands for another thread, carried out at a certain call of a manager.
struct Hook {
    function: String,
    when: String,
    key: Key,
    operation: Json,
}

/// The state of a trace.
pub struct World {
    pub registry: Registry,
    pub managers: [Option<Manager>; KEY_COUNT],
    pub pools: Vec<UserData>,
    pub activity: ActivityIds,
    /// True for a trace of the reference's development build.
    pub development: bool,
    /// The live vouchers, by their numbers in the trace.
    pub vouchers: BTreeMap<u32, VoucherId>,
    numbers: HashMap<VoucherId, u32>,
    /// The number of vouchers that have been numbered.
    numbered: u32,
    pub send_rights: HashMap<VoucherId, u64>,
    /// The bank's tasks by process id.
    pub tasks: HashMap<u32, BankElementId>,
    pub current: Option<u32>,
    hooks: Vec<Hook>,
    calls: Vec<Json>,
    died: Vec<Json>,
    nested: Vec<Json>,
}

impl World {
    /// Returns the world that the first line of a trace describes, and the results of the registrations.
    pub fn begin(operation: &Json) -> (World, Json) {
        let mut world = World {
            registry: Registry::new(1),
            managers: [const { None }; KEY_COUNT],
            pools: Vec::new(),
            activity: ActivityIds::default(),
            development: operation["build"] == "development",
            vouchers: BTreeMap::new(),
            numbers: HashMap::new(),
            numbered: 0,
            send_rights: HashMap::new(),
            tasks: HashMap::new(),
            current: None,
            hooks: Vec::new(),
            calls: Vec::new(),
            died: Vec::new(),
            nested: Vec::new(),
        };
        if operation["managers"] == "stock" {
            for (key, manager) in [(7, "user_data"), (8, "user_data"), (4, "pthpriority")] {
                world.register(&json!({"key": key, "manager": manager, "default": "0x0"})).expect("the world is empty");
            }
            let registered = json!({"registered": {"4": "pthpriority", "7": "user_data", "8": "user_data"}});
            return (world, registered);
        }
        let managers = operation["managers"].as_array().into_iter().flatten();
        let codes: Vec<Json> = managers.map(|manager| super::text::code(&world.register(manager))).collect();
        (world, json!({"register_kr": codes}))
    }

    /// Registers the manager that `operation` describes.
    pub fn register(&mut self, operation: &Json) -> Result<Key, Error> {
        let default = handle_in(operation, "default");
        let manager = match string_in(operation, "manager") {
            "bank" => Manager::Bank(Box::new(super::banking::bank())),
            "user_data" => {
                // One manager for all keys, the shared pool of the reference (errata 8).
                self.pools.resize_with(1, || UserData::new(1));
                Manager::UserData(0)
            }
            "pthpriority" => Manager::PthPriority(PthPriority),
            "counter" => Manager::Artificial(Artificial::new(Kind::Counter, default)),
            "probe" => Manager::Artificial(Artificial::new(Kind::Probe, default)),
            _ => return Err(Error::InvalidArgument),
        };
        let registration = match &manager {
            Manager::Bank(bank) => bank.registration(),
            Manager::UserData(pool) => self.pools[*pool].registration(),
            Manager::PthPriority(manager) => manager.registration(),
            Manager::Artificial(artificial) => artificial.registration(),
        };
        let registration = Registration { default, ..registration };
        let key = self.registry.register(number_in(operation, "key"), registration)?;
        self.managers[key.slot()] = Some(manager);
        Ok(key)
    }

    /// Carries out a line and returns the answer to compare.
    pub fn line(&mut self, operation: &Json) -> Json {
        let mut got = self.operation(operation);
        if let Some(got) = got.as_object_mut() {
            let nested = std::mem::take(&mut self.nested);
            if !nested.is_empty() {
                got.insert("nested".into(), nested.into());
            }
            got.insert("calls".into(), std::mem::take(&mut self.calls).into());
            got.insert("died".into(), std::mem::take(&mut self.died).into());
            got.insert("state".into(), self.state());
        }
        got
    }

    fn state(&self) -> Json {
        let values: Map<String, Json> = Key::all()
            .filter_map(|key| Some((key.number().to_string(), json!(self.registry.control(key)?.values_in_use()))))
            .collect();
        let contents: usize = self.pools.iter().map(UserData::len).sum();
        json!({"vouchers": self.registry.len(), "values": values, "user_data_elements": contents})
    }

    /// Checks the invariants.
    pub fn check(&self, found: &mut Vec<String>) {
        self.registry.check(true);
        for (&number, &id) in &self.vouchers {
            if self.registry.get(id).is_none() {
                found.push(format!("v{number} died without being reported"));
            }
        }
    }

    /// Returns the name of a voucher in the trace, with a new number for a new voucher.
    pub fn name(&mut self, voucher: Option<VoucherId>) -> Json {
        let Some(id) = voucher else { return json!("null") };
        let number = *self.numbers.entry(id).or_insert_with(|| {
            self.numbered += 1;
            self.vouchers.insert(self.numbered, id);
            self.numbered
        });
        json!(format!("v{number}"))
    }

    /// Returns the live voucher with a name like `v3`.
    pub fn voucher(&self, name: &str) -> Option<VoucherId> {
        self.vouchers.get(&name.strip_prefix('v')?.parse().ok()?).copied()
    }

    /// Returns the voucher that a field names.
    pub fn voucher_in(&self, operation: &Json, field: &str) -> Option<VoucherId> {
        self.voucher(string_in(operation, field))
    }

    /// Returns the voucher that a name in the caller's space denotes.
    pub fn named(&self, name: u32) -> Option<VoucherId> {
        self.vouchers.get(&(name >> 8)).copied().filter(|_| name & 0xFF == 3)
    }

    /// Returns the key of the control that a field names.
    pub fn control_in(&self, operation: &Json) -> Option<Key> {
        Key::new(number_in(operation, "control")).filter(|&key| self.registry.control(key).is_some())
    }

    pub fn refs(&self, voucher: VoucherId) -> Json {
        json!(self.registry.get(voucher).map_or(0, Voucher::refs))
    }

    /// Returns the calling task.
    pub fn caller(&self) -> CallingTask {
        let bank = self.current.and_then(|pid| self.tasks.get(&pid)).copied();
        CallingTask { task: self.current.map_or(1, u64::from), bank, ..Default::default() }
    }

    pub fn bank(&self) -> Option<&Bank> {
        self.managers.iter().flatten().find_map(|manager| match manager {
            Manager::Bank(bank) => Some(&**bank),
            _ => None,
        })
    }

    pub fn bank_mut(&mut self) -> Option<&mut Bank> {
        self.managers.iter_mut().flatten().find_map(|manager| match manager {
            Manager::Bank(bank) => Some(&mut **bank),
            _ => None,
        })
    }

    pub fn artificial(&mut self, key: Key) -> Option<&mut Artificial> {
        match self.managers[key.slot()].as_mut()? {
            Manager::Artificial(artificial) => Some(artificial),
            _ => None,
        }
    }

    /// Arms a hook, and returns true if its key has a manager that can fire it.
    pub fn arm(&mut self, operation: &Json) -> bool {
        let Some(key) = Key::new(number_in(operation, "key")) else { return false };
        let (function, when) = (string_in(operation, "fn").to_owned(), string_in(operation, "when").to_owned());
        self.hooks.push(Hook { function, when, key, operation: operation["do"].clone() });
        self.artificial(key).is_some()
    }

    /// Carries out the operation of a hook that is armed for this call of a manager.
    fn fire(&mut self, function: &str, when: &str, key: Key) {
        let armed = |hook: &Hook| (&*hook.function, &*hook.when, hook.key) == (function, when, key);
        if let Some(number) = self.hooks.iter().position(armed) {
            let hook = self.hooks.remove(number);
            let got = self.operation(&hook.operation);
            self.nested.push(got);
        }
    }

    /// Logs a call of an artificial manager.
    fn log(&mut self, key: Key, function: &str, fields: Json) {
        let Some(artificial) = self.artificial(key) else { return };
        let mut call = json!({"manager": artificial.name(), "key": key.number(), "fn": function});
        let (Some(call_fields), Json::Object(fields)) = (call.as_object_mut(), fields) else { return };
        call_fields.extend(fields);
        self.calls.push(call);
    }

    /// Creates the voucher of user data that the probe passes with a value.
    fn voucher_of_probe(&mut self, request: &ValueRequest, content: &[u8]) -> Option<VoucherId> {
        let artificial = self.artificial(request.key)?;
        if artificial.kind != Kind::Probe || request.command != STORE_WITH_VOUCHER {
            return None;
        }
        artificial.number(content).ok()?;
        let recipe = [Recipe::new(MACH_VOUCHER_ATTR_KEY_USER_DATA, MACH_VOUCHER_ATTR_USER_DATA_STORE, content)];
        let caller = self.caller();
        create_voucher(self, &caller, &mut Recipes::new(&recipe)).expect_done().ok()?
    }
}

impl Driver for World {
    fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    fn registry_ref(&self) -> &Registry {
        &self.registry
    }

    fn manager(&mut self, key: Key) -> &mut dyn AttributeManager {
        match self.managers[key.slot()].as_mut().expect("the registry asks only managers of registered keys") {
            Manager::Bank(bank) => &mut **bank,
            Manager::UserData(pool) => &mut self.pools[*pool],
            Manager::PthPriority(manager) => manager,
            Manager::Artificial(artificial) => artificial,
        }
    }

    fn get_value(
        &mut self,
        caller: &CallingTask,
        request: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        self.fire("get_value", "before", request.key);
        let voucher = self.voucher_of_probe(request, content);
        let Poll::Ready(answer) = self.manager(request.key).get_value(caller, request, content) else {
            panic!("every manager of a trace answers at once");
        };
        let previous: Vec<String> = request.previous.into_iter().map(handle).collect();
        let ret = super::text::code(&answer);
        let mut call = json!({"command": request.command, "prev": previous, "content": hex(content), "ret": ret});
        if let Ok(value) = answer {
            call["value"] = json!(handle(value.handle));
            call["flags"] = json!(u32::from(value.persist));
        }
        self.log(request.key, "get_value", call);
        self.fire("get_value", "after", request.key);
        Poll::Ready(answer.map(|value| ManagerValue { voucher, ..value }))
    }

    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        let &ReleaseRequest { key, handle: value, sync } = request;
        self.fire("release_value", "before", key);
        let made = self.artificial(key).map_or(0, |artificial| artificial.made(value));
        let Poll::Ready(answer) = self.manager(key).release_value(request) else {
            panic!("every manager of a trace answers at once");
        };
        let ret = super::text::code(&answer);
        self.log(key, "release_value", json!({"value": handle(value), "sync": sync, "made": made, "ret": ret}));
        self.fire("release_value", "after", key);
        Poll::Ready(answer)
    }

    fn extract_content(
        &mut self,
        caller: &CallingTask,
        key: Key,
        value: u64,
        out: &mut OutBuffer<'_>,
    ) -> Result<u32, Error> {
        let answer = self.manager(key).extract_content(caller, key, value, out);
        let (size_in, size_out, ret) = (out.capacity(), out.size(), super::text::code(&answer));
        let call = json!({"values": [handle(value)], "size_in": size_in, "ret": ret, "size_out": size_out});
        self.log(key, "extract_content", call);
        answer
    }

    fn command(
        &mut self,
        caller: &CallingTask,
        request: &CommandRequest<'_>,
        out: &mut OutBuffer<'_>,
    ) -> Result<(), Error> {
        let answer = self.manager(request.key).command(caller, request, out);
        let values: Vec<String> = request.handle.into_iter().map(handle).collect();
        let call = json!({
            "values": values, "command": request.command, "in_size": request.input.len(), "out_cap": out.capacity(),
            "ret": super::text::code(&answer), "out_size": out.size(),
        });
        self.log(request.key, "command", call);
        answer
    }

    fn voucher_died(&mut self, id: VoucherId, _port: Option<PortBinding>) {
        if let Some(number) = self.numbers.remove(&id) {
            self.vouchers.remove(&number);
            self.died.push(json!(format!("v{number}")));
        }
    }

    fn unregistered(&mut self, key: Key) {
        self.log(key, "release", json!({}));
        self.managers[key.slot()] = None;
    }
}

/// The settings of the reference in the recording of bank traces (errata 8).
pub const BANK_SETTINGS: BankSettings =
    BankSettings { unique_persona: true, propagate_for_all: false, thread_groups: true };
