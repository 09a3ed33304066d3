//! A small world around the crate: three tasks with names for vouchers, as the kernel would keep them.

mod fake;
mod item;

pub use fake::*;
pub use item::*;

use abi::voucher::*;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::task::Poll;
use voucher::managers::bank::*;
use voucher::*;

/// The tasks; their pids are 10, 20 and 30.
pub const A: usize = 0;
pub const B: usize = 1;
pub const C: usize = 2;

/// A name that denotes no voucher in any task.
pub const BAD_NAME: u32 = 0x707;

/// Results of a creation, which is the name of a voucher or 0 for no voucher.
pub const NO_VOUCHER: Result<u32, Error> = Ok(0);
pub const INVALID_ARGUMENT: Result<u32, Error> = Err(Error::InvalidArgument);
pub const INVALID_CAPABILITY: Result<u32, Error> = Err(Error::InvalidCapability);
pub const NO_ACCESS: Result<u32, Error> = Err(Error::NoAccess);
pub const RESOURCE_SHORTAGE: Result<u32, Error> = Err(Error::ResourceShortage);

pub const SYSTEM_PERSONA: u32 = 101;
const SYSTEM_PROXY_PERSONA: u32 = 102;
/// The personas of two users.
pub const PERSONAS: [u32; 2] = [501, 502];

/// Returns the identity of a task without persona and entitlements.
pub fn identity(pid: i32) -> TaskIdentity {
    let unique_pid = 1000 + pid as u64;
    let info = ProcPersonaInfo { pid, unique_pid, persona_id: PERSONA_ID_NONE, ..ProcPersonaInfo::default() };
    TaskIdentity { info, ..TaskIdentity::default() }
}

/// Returns the identity of a task with a persona.
pub fn with_persona(pid: i32, persona_id: u32) -> TaskIdentity {
    let identity = identity(pid);
    TaskIdentity { info: ProcPersonaInfo { persona_id, ..identity.info }, ..identity }
}

struct Task {
    caller: CallingTask,
    /// The voucher and the user references of each name.
    names: BTreeMap<u32, (VoucherId, u32)>,
}

pub struct World {
    pub vouchers: Vouchers,
    /// The release requests to managers.
    releases: Vec<ReleaseRequest>,
    pub died: Vec<(VoucherId, Option<PortBinding>)>,
    tasks: Vec<Task>,
    current: usize,
    last_number: u64,
}

impl World {
    /// Returns a world with three tasks without persona, in which the personas of the system exist.
    pub fn new() -> Self {
        Self::of([10, 20, 30].map(identity))
    }

    /// Returns a world with these tasks, in which the personas of the system exist.
    pub fn of(tasks: [TaskIdentity; 3]) -> Self {
        let mut world = Self::without_system_personas(tasks);
        world.add_system_persona();
        world.add_system_proxy_persona();
        world
    }

    pub fn without_system_personas(tasks: [TaskIdentity; 3]) -> Self {
        let mut vouchers = Vouchers::new(1, BankSettings::default()).unwrap();
        PERSONAS.into_iter().for_each(|persona| vouchers.bank.personas_mut().add(persona).unwrap());
        let task = |identity: TaskIdentity| {
            let bank = Some(vouchers.bank.begin_task(identity).unwrap());
            Task {
                caller: CallingTask { task: identity.info.unique_pid, bank, ..Default::default() },
                names: BTreeMap::new(),
            }
        };
        let tasks = tasks.map(task).into();
        World { vouchers, releases: vec![], died: vec![], tasks, current: A, last_number: 0x1000 }
    }

    pub fn add_system_persona(&mut self) {
        self.vouchers.bank.personas_mut().set_system(SYSTEM_PERSONA).unwrap();
    }

    pub fn add_system_proxy_persona(&mut self) {
        self.vouchers.bank.personas_mut().set_system_proxy(SYSTEM_PROXY_PERSONA).unwrap();
    }

    /// Returns a world in which the fake manager is registered for its key.
    pub fn with_fake(fake: &Fake) -> Self {
        let mut world = Self::new();
        world.vouchers.register(FAKE, Box::new(fake.clone())).unwrap();
        world
    }

    /// Makes this task the calling task.
    pub fn switch(&mut self, task: usize) -> &mut Self {
        self.current = task;
        self
    }

    pub fn caller(&self) -> CallingTask {
        self.tasks[self.current].caller
    }

    /// Returns the bank's name of a task.
    pub fn bank_id(&self, task: usize) -> BankElementId {
        self.tasks[task].caller.bank.unwrap()
    }

    pub fn bank_task(&self, task: usize) -> &BankTask {
        match self.vouchers.bank.element(self.bank_id(task)) {
            Some(BankElement::Task(task)) => task,
            other => panic!("{other:?} is not a task"),
        }
    }

    /// Returns a number that was not used before.
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Returns the voucher that a name of the calling task denotes.
    pub fn named(&self, name: u32) -> Option<VoucherId> {
        self.tasks[self.current].names.get(&name).map(|&(voucher, _)| voucher)
    }

    pub fn id(&self, name: u32) -> VoucherId {
        self.named(name).unwrap_or_else(|| panic!("{name:#x} denotes no voucher"))
    }

    /// Returns the user references of a name of the calling task.
    pub fn refs(&self, name: u32) -> u32 {
        self.tasks[self.current].names.get(&name).map_or(0, |&(_, refs)| refs)
    }

    /// Returns the number of names of the calling task.
    pub fn names(&self) -> usize {
        self.tasks[self.current].names.len()
    }

    /// Returns the port of a voucher.
    pub fn port(&self, name: u32) -> PortBinding {
        self.vouchers.registry.get(self.id(name)).and_then(Voucher::port).expect("a voucher with a name has a port")
    }

    /// Turns a reference into a send right of the calling task, and returns its name.
    pub fn name(&mut self, voucher: Option<VoucherId>) -> u32 {
        let Some(voucher) = voucher else { return 0 };
        if self.vouchers.registry.get(voucher).unwrap().port().is_none() {
            let port = NonZeroU64::new(self.number()).unwrap();
            self.vouchers.registry.bind_port(voucher, port);
        }
        self.vouchers.registry.reference_to_send_right(voucher);
        let known = self.tasks[self.current].names.iter_mut().find(|(_, (known, _))| *known == voucher);
        if let Some((&name, (_, refs))) = known {
            *refs += 1;
            return name;
        }
        let name = self.number() as u32;
        self.tasks[self.current].names.insert(name, (voucher, 1));
        name
    }

    /// Releases a send right, as `mach_port_deallocate`. All managers must answer at once.
    pub fn deallocate(&mut self, name: u32) {
        let names = &mut self.tasks[self.current].names;
        let (voucher, refs) = names.get_mut(&name).expect("the name is in use");
        let voucher = *voucher;
        *refs -= 1;
        if *refs == 0 {
            names.remove(&name);
        }
        if self.tasks.iter().all(|task| task.names.values().all(|&(other, _)| other != voucher)) {
            let left = self.vouchers.registry.no_senders(voucher).and_then(|dead| destroy_voucher(self, dead));
            assert!(left.is_none(), "all managers answer at once");
        }
    }

    /// Gives another task a send right, as in the body of a message, and returns its name there.
    pub fn give(&mut self, name: u32, to: usize) -> u32 {
        let (voucher, from) = (self.id(name), self.current);
        self.vouchers.registry.retain(voucher).unwrap();
        self.current = to;
        let name = self.name(Some(voucher));
        self.current = from;
        name
    }

    /// Creates a voucher from an array of bytes, as `host_create_mach_voucher`, and returns its name, 0 for no voucher.
    pub fn mk_bytes(&mut self, bytes: &[u8]) -> Result<u32, Error> {
        let caller = self.caller();
        let mut source = NamedRecipes::new(bytes, |world: &mut World, name| world.named(name));
        create_voucher(self, &caller, &mut source).expect_done().map(|voucher| self.name(voucher))
    }

    /// Creates a voucher: the `mk[...]` of the specification.
    pub fn mk(&mut self, items: &[Item]) -> Result<u32, Error> {
        self.mk_bytes(&array(items))
    }

    /// Creates a voucher that must exist afterwards.
    #[track_caller]
    pub fn make(&mut self, items: &[Item]) -> u32 {
        match self.mk(items) {
            Ok(name @ 1..) => name,
            result => panic!("there is no voucher: {result:?}"),
        }
    }

    /// Creates a voucher as the kernel itself.
    pub fn create(&mut self, recipes: &[Recipe<'_>]) -> Result<Option<VoucherId>, Error> {
        create_voucher(self, &CallingTask::KERNEL, &mut Recipes::new(recipes)).expect_done()
    }

    /// Releases a reference of the kernel. All managers must answer at once.
    pub fn release(&mut self, voucher: VoucherId) {
        assert!(release_voucher(self, voucher).is_none(), "all managers answer at once");
    }

    /// Returns key and made references of the release requests since the last call.
    pub fn take_releases(&mut self) -> Vec<(u32, u64)> {
        self.releases.drain(..).map(|release| (release.key.number(), release.sync)).collect()
    }

    /// Returns the handle of a voucher's attribute.
    pub fn handle(&self, name: u32, key: u32) -> Option<u64> {
        self.vouchers.registry.handle(self.id(name), Key::new(key).unwrap())
    }

    /// Returns the values of a key: handle, references and made references.
    pub fn values(&self, key: u32) -> Vec<(u64, u32, u64)> {
        let control = self.vouchers.registry.control(Key::new(key).unwrap()).unwrap();
        control.values().map(|(_, value)| (value.handle(), value.refs(), value.made())).collect()
    }

    /// Returns the attributes of a voucher with their user data.
    pub fn says(&self, name: u32) -> Vec<(u32, Vec<u8>)> {
        let content = |(key, handle): (Key, u64)| {
            let manager = if key == Key::TEST { &self.vouchers.test } else { &self.vouchers.user_data };
            (key.number(), manager.content(handle).unwrap_or_default().to_vec())
        };
        self.vouchers.registry.attributes(self.id(name)).map(content).collect()
    }

    /// Executes `mach_voucher_attr_command` without input and returns its result.
    pub fn command(&mut self, name: u32, key: u32, command: u32, room: usize) -> Result<Vec<u8>, Error> {
        let (caller, voucher) = (self.caller(), self.named(name));
        let mut bytes = vec![0xAA; room];
        let mut out = OutBuffer::new(&mut bytes);
        let result = attr_command(self, &caller, voucher, key, command, &[], &mut out);
        let size = out.size();
        bytes.truncate(size);
        result.map(|()| bytes)
    }

    /// Releases all names and asserts that only persistent values are left (I12 of vouchers 1.13).
    pub fn end(mut self) {
        for task in [A, B, C] {
            self.current = task;
            while let Some((&name, _)) = self.tasks[task].names.first_key_value() {
                self.deallocate(name);
            }
        }
        self.assert_empty();
        for task in [A, B, C] {
            let id = self.bank_id(task);
            if self.vouchers.bank.element(id).is_some() {
                assert_eq!((self.bank_task(task).refs(), self.bank_task(task).accounts()), (1, (0, 0)));
            }
        }
    }

    /// Asserts that only persistent values are left (I12 of vouchers 1.13).
    pub fn assert_empty(&self) {
        let Vouchers { registry, user_data, test, bank, .. } = &self.vouchers;
        registry.check(true);
        assert!(registry.is_empty() && user_data.is_empty() && test.is_empty());
        assert_eq!(bank.len().1, 0, "accounts are left");
        for control in Key::all().filter_map(|key| registry.control(key)) {
            assert!(control.values().all(|(_, value)| value.is_persistent()));
            assert_eq!(control.refs(), 1 + control.values_in_use() as u64);
        }
    }
}

impl Driver for World {
    fn registry(&mut self) -> &mut Registry {
        &mut self.vouchers.registry
    }

    fn registry_ref(&self) -> &Registry {
        &self.vouchers.registry
    }

    fn manager(&mut self, key: Key) -> &mut dyn AttributeManager {
        self.vouchers.manager(key)
    }

    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        self.releases.push(*request);
        self.vouchers.release_value(request)
    }

    fn voucher_died(&mut self, id: VoucherId, port: Option<PortBinding>) {
        self.died.push((id, port));
    }

    fn unregistered(&mut self, key: Key) {
        self.vouchers.unregistered(key);
    }
}
