//! A task's name table: which rights it holds, under which names (mach-ipc 1.3 to 1.8).
//!
//! The table knows nothing of ports: whether the port behind a name is dead the caller finds out, and tells the table by
//! [`Space::make_dead_name`].

use crate::ids::{BudgetId, PortId, RequestId, SetId};
use abi::KernReturn;
use abi::code::{KERN_FAILURE, KERN_INVALID_VALUE, KERN_NO_SPACE, KERN_RESOURCE_SHORTAGE};
use abi::port::{MACH_PORT_UREFS_MAX, PortName, PortType};
use foldhash::fast::FixedState;
use store::{Chunks, LinearMap, NoMemory};

/// The first generation of every entry; the two low bits of a kernel-chosen name are set.
const FIRST_GENERATION: u8 = 0x03;
const GENERATION_STEP: u8 = 4;

/// How many entries a table grows by.
const GROWTH: usize = 64;

/// What a name denotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryRight {
    /// A send right with so many user references.
    Send {
        /// The port.
        port: PortId,
        /// References.
        urefs: u16,
    },
    /// A receive right, with so many references to a send right of the same port.
    Receive {
        /// The port.
        port: PortId,
        /// References; 0 if there is no send right.
        send_urefs: u16,
    },
    /// A send-once right.
    SendOnce {
        /// The port.
        port: PortId,
    },
    /// A port set.
    PortSet {
        /// The set.
        set: SetId,
    },
    /// A right whose port died, with so many references.
    DeadName {
        /// References.
        urefs: u16,
    },
}

impl EntryRight {
    /// The port, if it is a right to one.
    #[inline(always)]
    pub fn port(&self) -> Option<PortId> {
        match *self {
            EntryRight::Send { port, .. } | EntryRight::Receive { port, .. } | EntryRight::SendOnce { port } => {
                Some(port)
            }
            EntryRight::PortSet { .. } | EntryRight::DeadName { .. } => None,
        }
    }

    /// The type as users see it.
    pub fn port_type(&self) -> PortType {
        match self {
            EntryRight::Send { .. } => PortType::SEND,
            EntryRight::Receive { send_urefs: 0, .. } => PortType::RECEIVE,
            EntryRight::Receive { .. } => PortType::RECEIVE | PortType::SEND,
            EntryRight::SendOnce { .. } => PortType::SEND_ONCE,
            EntryRight::PortSet { .. } => PortType::PORT_SET,
            EntryRight::DeadName { .. } => PortType::DEAD_NAME,
        }
    }
}

/// Adds to a count of user references; one that would reach the maximum sticks there (mach-ipc 1.4 rule 2).
pub fn add_urefs(urefs: u16, more: u32) -> u16 {
    (u32::from(urefs) + more).min(u32::from(MACH_PORT_UREFS_MAX)) as u16
}

/// What is under one name.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What the name denotes.
    pub right: EntryRight,
    /// The request for a notification that was made by this name.
    pub request: Option<RequestId>,
}

#[derive(Debug)]
struct Slot {
    /// The low byte of the name, of this use or of the next one.
    generation: u8,
    /// After how many more uses the generation starts over.
    uses_left: u8,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// On the list of free indexes. What the first of the list has as `previous` means nothing.
    Free {
        previous: Option<u32>,
        next: Option<u32>,
    },
    Used(Entry),
}

impl Slot {
    /// After a random number of uses, at least 16, the generations start over.
    #[cold]
    fn start_over(&mut self, random: &mut u64) {
        self.uses_left = 16 * (1 + (next_random(random) >> 32 & 3) as u8);
        self.generation = FIRST_GENERATION.wrapping_sub(GENERATION_STEP);
    }

    /// Uses a slot that is off the free list.
    #[inline(always)]
    fn occupy(&mut self, name: PortName, right: EntryRight) {
        self.uses_left = self.uses_left.saturating_sub(1);
        self.generation = name.generation();
        self.content = Content::Used(Entry { right, request: None });
    }
}

impl Default for Slot {
    fn default() -> Self {
        Slot { generation: 0, uses_left: 0, content: Content::Free { previous: None, next: None } }
    }
}

/// Why there is no new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoName {
    /// The table has its maximal size.
    Full,
    /// No memory to grow it.
    Memory,
}

impl From<NoName> for KernReturn {
    fn from(error: NoName) -> KernReturn {
        match error {
            NoName::Full => KERN_NO_SPACE,
            NoName::Memory => KERN_RESOURCE_SHORTAGE,
        }
    }
}

/// A name table.
#[derive(Debug)]
pub struct Space {
    /// The budget that the table is on, and what is made by the task that has it.
    budget: BudgetId,
    slots: Chunks<Slot, GROWTH>,
    /// First free index; the list goes on in the slots.
    free: Option<u32>,
    live: u32,
    limit: u32,
    /// Names that carry a send right and no receive right, by port.
    send_names: LinearMap<PortId, PortName, FixedState>,
    random: u64,
    /// Indexes are handed out in random order, beyond the first few.
    shuffled: bool,
}

impl Space {
    /// Returns an empty table with at most `limit` entries, the unusable entry 0 included. With a `seed` of 0 names are
    /// handed out in a fixed order, as tests want it.
    pub fn new(budget: BudgetId, limit: u32, seed: u64) -> Space {
        Space {
            budget,
            slots: Chunks::new(),
            free: None,
            live: 0,
            limit,
            send_names: LinearMap::new(FixedState::with_seed(seed)),
            random: seed | 1,
            shuffled: seed != 0,
        }
    }

    /// Returns the budget that the table is on.
    pub fn budget(&self) -> BudgetId {
        self.budget
    }

    /// Returns the number of names.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// Bytes that growing the table once costs, with what the register of send rights may need.
    pub const GROWTH_COST: usize = GROWTH * (size_of::<Slot>() + 2 * size_of::<(PortId, PortName)>());

    /// Bytes that the table has cost so far.
    pub fn cost(&self) -> usize {
        self.slots.len() / GROWTH * Space::GROWTH_COST
    }

    /// Bytes that it costs to grow the table until it has this index.
    pub fn cost_of_reaching(&self, index: u32) -> usize {
        let missing = (index as usize + 1).saturating_sub(self.slots.len());
        missing.div_ceil(GROWTH) * Space::GROWTH_COST
    }

    /// One more than the highest index in use so far.
    pub fn capacity(&self) -> u32 {
        self.slots.len() as u32
    }

    /// What a name denotes, if anything.
    #[inline(always)]
    pub fn get(&self, name: PortName) -> Option<&Entry> {
        match self.slots.get(name.index() as usize) {
            Some(Slot { generation, content: Content::Used(entry), .. }) if *generation == name.generation() => {
                Some(entry)
            }
            _ => None,
        }
    }

    /// What a name denotes, if anything.
    #[inline(always)]
    pub fn get_mut(&mut self, name: PortName) -> Option<&mut Entry> {
        match self.slots.get_mut(name.index() as usize) {
            Some(Slot { generation, content: Content::Used(entry), .. }) if *generation == name.generation() => {
                Some(entry)
            }
            _ => None,
        }
    }

    /// The name in use at an index, whatever its generation.
    pub fn name_at(&self, index: u32) -> Option<PortName> {
        match self.slots.get(index as usize) {
            Some(Slot { generation, content: Content::Used(_), .. }) => Some(PortName::new(index, *generation)),
            _ => None,
        }
    }

    /// The name under which the task has a send right, but not the receive right, of a port.
    pub fn send_name(&self, port: PortId) -> Option<PortName> {
        self.send_names.get(&port).copied()
    }

    /// Whether the next new name, with a send right or not, needs the table to grow first.
    #[inline]
    pub fn must_grow(&self) -> bool {
        self.free.is_none()
    }

    /// Adds entries to the table.
    ///
    /// # Errors
    /// [`NoName`]; nothing has changed.
    pub fn grow(&mut self) -> Result<(), NoName> {
        let first = self.slots.len() as u32;
        if first >= self.limit {
            return Err(NoName::Full);
        }
        self.slots.grow().map_err(|NoMemory| NoName::Memory)?;
        let last = (self.slots.len() as u32).min(self.limit);
        let mut indexes = [0; GROWTH];
        let count = (last - first) as usize;
        for (at, index) in indexes.iter_mut().enumerate() {
            *index = first + at as u32;
        }
        let fixed = if first == 0 { 9 } else { 0 };
        if self.shuffled {
            for at in (fixed + 1..count).rev() {
                let other = fixed + (next_random(&mut self.random) % (at - fixed + 1) as u64) as usize;
                indexes.swap(at, other);
            }
        }
        for &index in indexes[..count].iter().rev().filter(|&&index| index != 0) {
            self.put_on_free_list(index);
        }
        Ok(())
    }

    /// Puts a free index first on the list.
    fn put_on_free_list(&mut self, index: u32) {
        self.slots[index as usize].content = Content::Free { previous: None, next: self.free };
        self.lead_free_list(index);
    }

    /// Makes `index`, whose slot says already what comes next, the first of the list.
    fn lead_free_list(&mut self, index: u32) {
        if let Some(first) = self.free.replace(index)
            && let Content::Free { previous, .. } = &mut self.slots[first as usize].content
        {
            *previous = Some(index);
        }
    }

    /// Takes an index off the list that need not be the first.
    fn take_off_free_list(&mut self, index: u32) {
        let Content::Free { previous, next } = self.slots[index as usize].content else {
            panic!("name index {index} is on the free list but in use")
        };
        if self.free == Some(index) {
            self.free = next;
            return;
        }
        for (neighbour, is_next) in [(previous, false), (next, true)] {
            let Some(neighbour) = neighbour else { continue };
            if let Content::Free { previous: p, next: n } = &mut self.slots[neighbour as usize].content {
                if is_next { *p = previous } else { *n = next }
            }
        }
    }

    /// Gives `right` a new name. The table must not need to grow.
    ///
    /// # Errors
    /// [`NoMemory`] if a send right cannot be registered; nothing has changed.
    #[inline(always)]
    pub fn add(&mut self, right: EntryRight) -> Result<PortName, NoMemory> {
        let port = registered(right);
        if port.is_some() {
            self.reserve_send_name()?;
        }
        let index = self.free.expect("the caller makes room first");
        let slot = &mut self.slots[index as usize];
        let Content::Free { next, .. } = slot.content else {
            panic!("name index {index} is on the free list but in use")
        };
        self.free = next;
        if slot.uses_left == 0 {
            slot.start_over(&mut self.random);
        }
        let name = PortName::new(index, slot.generation.wrapping_add(GENERATION_STEP));
        slot.occupy(name, right);
        self.live += 1;
        if let Some(port) = port {
            self.send_names.insert_reserved(port, name);
        }
        Ok(name)
    }

    /// Gives `right` the name chosen, whose index is free and in the table. For a send right there is room in the
    /// register.
    #[inline]
    pub fn add_chosen(&mut self, name: PortName, right: EntryRight) {
        self.take_off_free_list(name.index());
        let slot = &mut self.slots[name.index() as usize];
        if slot.uses_left == 0 {
            // The generations go on from the chosen one, and start over before one comes twice.
            slot.uses_left = (u8::MAX - name.generation()) / GENERATION_STEP + 1;
        }
        slot.occupy(name, right);
        self.live += 1;
        if let Some(port) = registered(right) {
            self.send_names.insert_reserved(port, name);
        }
    }

    /// Whether a name that a user chose can be given, in the order of mach-ipc 2.6: `Ok(Some(entry))` if it is in use.
    ///
    /// # Errors
    /// `KERN_NO_SPACE`, `KERN_INVALID_VALUE` or `KERN_FAILURE`.
    pub fn check_chosen(&self, name: PortName) -> Result<Option<&Entry>, KernReturn> {
        if name.index() >= self.limit {
            return Err(KERN_NO_SPACE);
        }
        if !name.is_well_formed() {
            return Err(KERN_INVALID_VALUE);
        }
        match self.name_at(name.index()) {
            _ if name.index() == 0 => Err(KERN_FAILURE),
            Some(used) if used != name => Err(KERN_FAILURE),
            _ => Ok(self.get(name)),
        }
    }

    /// Makes room for registering one send right by [`change`](Space::change) or [`add_chosen`](Space::add_chosen).
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub fn reserve_send_name(&mut self) -> Result<(), NoMemory> {
        self.send_names.reserve()
    }

    /// Changes what a name denotes, keeping the register of send rights right. If a send right becomes the only one,
    /// [`reserve_send_name`](Space::reserve_send_name) was called before.
    pub fn change(&mut self, name: PortName, right: EntryRight) {
        let entry = self.get_mut(name).expect("a name that changes exists");
        let old = registered(core::mem::replace(&mut entry.right, right));
        let new = registered(right);
        if old == new {
            return;
        }
        if let Some(port) = old {
            self.send_names.remove(&port);
        }
        if let Some(port) = new {
            self.send_names.insert_reserved(port, name);
        }
    }

    /// Turns a name whose port died into a dead name with all its references, and one more if a request of this name was
    /// still open (mach-ipc 1.7).
    pub fn make_dead_name(&mut self, name: PortName) {
        let entry = self.get_mut(name).expect("a name that dies exists");
        let urefs = match entry.right {
            EntryRight::Send { urefs, .. } => urefs,
            EntryRight::SendOnce { .. } => 1,
            EntryRight::Receive { send_urefs, .. } => send_urefs,
            EntryRight::PortSet { .. } | EntryRight::DeadName { .. } => panic!("{name:?} is no right to a port"),
        };
        let extra = u32::from(entry.request.take().is_some());
        let old = registered(entry.right);
        entry.right = EntryRight::DeadName { urefs: add_urefs(urefs, extra) };
        if let Some(port) = old {
            self.send_names.remove(&port);
        }
    }

    /// Frees a name. Its request must have been dealt with.
    #[inline(always)]
    pub fn remove(&mut self, name: PortName) {
        let slot = &mut self.slots[name.index() as usize];
        let freed = Content::Free { previous: None, next: self.free };
        let Content::Used(entry) = core::mem::replace(&mut slot.content, freed) else {
            panic!("{name:?} is freed twice")
        };
        assert!(slot.generation == name.generation(), "{name:?} is freed, but its index has another name now");
        debug_assert!(entry.request.is_none(), "a request is lost with {name:?}");
        self.lead_free_list(name.index());
        self.live -= 1;
        if let Some(port) = registered(entry.right) {
            self.send_names.remove(&port);
        }
    }

    /// All names, by index.
    pub fn iter(&self) -> impl Iterator<Item = (PortName, &Entry)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| match &slot.content {
            Content::Used(entry) => Some((PortName::new(index as u32, slot.generation), entry)),
            Content::Free { .. } => None,
        })
    }

    /// Panics unless the register of send rights agrees with the table.
    pub fn check(&self) {
        let sends = self.iter().filter_map(|(name, entry)| registered(entry.right).map(|port| (port, name)));
        let mut count = 0;
        for (port, name) in sends {
            assert_eq!(self.send_name(port), Some(name), "I4: {port:?} has one name per task");
            count += 1;
        }
        assert_eq!(count, self.send_names.len(), "the register of send rights has no stale entry");
        assert_eq!(self.iter().count(), self.live as usize, "live names are counted");
    }
}

fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// The port that a right registers: a send right without the receive right.
fn registered(right: EntryRight) -> Option<PortId> {
    match right {
        EntryRight::Send { port, .. } => Some(port),
        _ => None,
    }
}
