//! [`Kernel`] for [`Mock`].

use super::messages::Port;
use super::vouchers::unique_pid;
use super::world::{Entry, Object};
use super::{Mock, TaskNote, threads};
use crate::qos::{Priority, Qos};
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering;
use crate::sys::{Kernel, Received, SetSelf, SetSelfError};
use abi::code::*;
use abi::message::MsgOption;
use abi::policy::LOCK_FLAGS;
use abi::port::*;
use abi::{KernReturn, PortName};
use alloc::boxed::Box;
use runtime::view::Descriptor;
use std::sync::PoisonError;

impl Kernel for Mock {
    fn set_self(&self, change: SetSelf) -> Result<(), SetSelfError> {
        let name = self.thread_self();
        let mut state = self.world.lock();
        let record = state.thread(name);
        record.set_self_calls += 1;
        record.last_change = Some(change);
        let mut error = SetSelfError { priority: false, voucher: false };
        if let Some(priority) = change.priority {
            error.priority = !priority.has_class();
            if !error.priority {
                state.thread(name).requested = priority;
            }
        }
        if let Some(voucher) = change.voucher {
            let voucher = match voucher {
                MACH_PORT_NULL => Some(None),
                voucher => state.voucher_of(self.task, voucher).map(Some),
            };
            error.voucher = voucher.is_none();
            if let Some(voucher) = voucher {
                if let Some(voucher) = voucher {
                    state.retain_voucher(voucher);
                }
                if let Some(former) = core::mem::replace(&mut state.thread(name).voucher, voucher) {
                    state.release_voucher(former);
                }
            }
        }
        if error.priority || error.voucher { Err(error) } else { Ok(()) }
    }

    fn set_qos_of_parked(&self, thread: PortName, priority: Priority) -> bool {
        self.world.lock().thread(thread).requested = priority;
        true
    }

    fn override_thread(&self, thread: PortName, class: Qos, lock: &AtomicU32) {
        let mut state = self.world.lock();
        if lock.load(Ordering::Acquire) | LOCK_FLAGS == thread.0 {
            let record = state.thread(thread);
            record.dispatch_override = record.dispatch_override.max(class);
        }
    }

    fn reset_override(&self) {
        let name = self.thread_self();
        self.world.lock().thread(name).dispatch_override = Qos::Unspecified;
    }

    fn override_start(&self, thread: PortName, class: Qos, resource: u64) {
        let mut state = self.world.lock();
        let entry = state.thread(thread).overrides.entry(resource).or_default();
        *entry = (entry.0 + 1, entry.1.max(class));
    }

    fn override_end(&self, thread: PortName, resource: u64) {
        let mut state = self.world.lock();
        let overrides = &mut state.thread(thread).overrides;
        let Some(entry) = overrides.get_mut(&resource) else {
            return;
        };
        entry.0 -= 1;
        if entry.0 == 0 {
            overrides.remove(&resource);
        }
    }

    fn create_voucher(&self, recipes: &[u8]) -> Result<PortName, KernReturn> {
        self.world.lock().create_voucher(self.task, recipes)
    }

    fn extract(&self, voucher: PortName, key: u32, buffer: &mut [u8]) -> Result<usize, KernReturn> {
        self.world.lock().extract(self.task, voucher, key, buffer)
    }

    fn voucher_command(
        &self,
        voucher: PortName,
        key: u32,
        command: u32,
        _input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, KernReturn> {
        self.world.lock().command(self.task, voucher, (key, command), output)
    }

    /// # Panics
    /// If the task has no such send right: then the library has given up a reference that it did not own.
    fn release_send(&self, name: PortName) {
        let released = self.world.lock().release_send(self.task, name);
        released.unwrap_or_else(|code| panic!("no send right {name:?} to release: {code:?}"));
    }

    fn generate_activity_ids(&self) -> u64 {
        let mut state = self.world.lock();
        state.activity_ids += 1;
        state.activity_ids
    }

    fn unique_pid(&self) -> u64 {
        unique_pid(self.task)
    }

    fn current_persona(&self) -> Option<u32> {
        let name = self.thread_self();
        Some(self.world.lock().persona(self.task, name))
    }

    fn send(&self, message: &mut [u8], options: MsgOption, timeout: u32, priority: u32) -> KernReturn {
        let mut state = self.world.lock();
        let deadline = options.contains(MsgOption::SEND_TIMEOUT).then(|| state.time + u64::from(timeout) * 1_000_000);
        while state.is_full(self.task, message) && deadline.is_none_or(|deadline| state.time < deadline) {
            state = self.world.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let result = state.send(self.task, message, options, priority);
        self.world.changed.notify_all();
        result.err().unwrap_or(MACH_MSG_SUCCESS)
    }

    fn receive(
        &self,
        from: PortName,
        buffer: &mut [u8],
        options: MsgOption,
        timeout: u32,
        _notify: PortName,
    ) -> Received {
        let mut state = self.world.lock();
        let deadline = state.time + u64::from(timeout) * 1_000_000;
        loop {
            let nothing = |code| Received { code, priority: Priority::NONE, over: Qos::Unspecified };
            match state.receive(self.task, from, buffer, options) {
                Err(code) => return nothing(code),
                Ok(Some((priority, over))) => {
                    self.world.changed.notify_all();
                    return Received { code: MACH_MSG_SUCCESS, priority, over };
                }
                Ok(None) if options.contains(MsgOption::RCV_TIMEOUT) && state.time >= deadline => {
                    return nothing(MACH_RCV_TIMED_OUT);
                }
                Ok(None) => state = self.world.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn send_and_receive(
        &self,
        buffer: &mut [u8],
        size: usize,
        options: MsgOption,
        from: PortName,
        timeout: u32,
        priority: u32,
    ) -> Received {
        let code = self.send(&mut buffer[..size], options, timeout, priority);
        if code != MACH_MSG_SUCCESS {
            return Received { code, priority: Priority::NONE, over: Qos::Unspecified };
        }
        self.receive(from, buffer, options, timeout, MACH_PORT_NULL)
    }

    fn construct(&self, flags: ConstructFlags, queue_limit: Option<u32>) -> Result<PortName, KernReturn> {
        let mut state = self.world.lock();
        let accepts = flags.intersects(ConstructFlags::IMPORTANCE_RECEIVER | ConstructFlags::DENAP_RECEIVER);
        let id = state.new_object();
        let limit = queue_limit.unwrap_or(MACH_PORT_QLIMIT_DEFAULT) as usize;
        state.ports.insert(id, Port::new(self.task, accepts, limit));
        let name = state.name_for(self.task, Object::Port(id));
        let entry = self.entry(&mut state, name)?;
        entry.receive = true;
        entry.send = u32::from(flags.contains(ConstructFlags::INSERT_SEND_RIGHT));
        Ok(name)
    }

    fn insert_send(&self, port: PortName) -> Result<(), KernReturn> {
        let mut state = self.world.lock();
        let entry = self.entry(&mut state, port)?;
        if !entry.receive {
            return Err(KERN_INVALID_RIGHT);
        }
        entry.send += 1;
        Ok(())
    }

    fn mod_refs(&self, name: PortName, right: u32, delta: i32) -> Result<(), KernReturn> {
        let mut state = self.world.lock();
        let entry = self.entry(&mut state, name)?;
        let object = entry.object;
        match (right, object) {
            (MACH_PORT_RIGHT_SEND, _) if delta >= 0 => entry.send += delta as u32,
            (MACH_PORT_RIGHT_SEND, _) => {
                for _ in delta..0 {
                    state.release_send(self.task, name)?;
                }
                return Ok(());
            }
            (MACH_PORT_RIGHT_SEND_ONCE, _) if delta == -1 => entry.send_once = 0,
            (MACH_PORT_RIGHT_RECEIVE, Object::Port(port)) if delta == -1 => {
                entry.receive = false;
                state.destroy_port(port);
            }
            _ => return Err(KERN_INVALID_VALUE),
        }
        state.tasks[self.task].forget_if_empty(name);
        self.world.changed.notify_all();
        Ok(())
    }

    fn allocate_set(&self) -> Result<PortName, KernReturn> {
        let mut state = self.world.lock();
        let set = state.new_object();
        Ok(state.name_for(self.task, Object::Set(set)))
    }

    fn insert_member(&self, port: PortName, set: PortName) -> Result<(), KernReturn> {
        self.put_in_set(port, |state| match self.entry(state, set)?.object {
            Object::Set(set) => Ok(Some(set)),
            _ => Err(KERN_INVALID_RIGHT),
        })
    }

    fn extract_member(&self, port: PortName, _set: PortName) -> Result<(), KernReturn> {
        self.put_in_set(port, |_| Ok(None))
    }

    /// The mock sends no notifications.
    fn request_notification(
        &self,
        _name: PortName,
        _kind: i32,
        _sync: u32,
        _notify: PortName,
    ) -> Result<PortName, KernReturn> {
        Err(KERN_NOT_SUPPORTED)
    }

    fn special_reply_port(&self) -> PortName {
        let name = self.thread_self();
        if let Some(port) = self.world.lock().thread(name).special_reply {
            return port;
        }
        let port = self.allocate_receive().expect("there is room for a port");
        self.world.lock().thread(name).special_reply = Some(port);
        port
    }

    fn forget_special_reply_port(&self) {
        let name = self.thread_self();
        let port = self.world.lock().thread(name).special_reply.take();
        if let Some(port) = port {
            // The receive right may be gone already.
            let _ = self.mod_refs(port, MACH_PORT_RIGHT_RECEIVE, -1);
        }
    }

    fn destroy_descriptor(&self, descriptor: &Descriptor) {
        unreachable!("the mock carries no memory in messages: {descriptor:?}");
    }

    fn bind_servicer(&self, _port: PortName, _thread: PortName) {}

    fn start_thread(
        &self,
        name: &str,
        priority: Priority,
        body: Box<dyn FnOnce() + Send>,
    ) -> Result<PortName, KernReturn> {
        let port = threads::new_name();
        self.world.lock().thread(port).requested = priority;
        let world = self.world.clone();
        let run = move || {
            threads::set_name(port);
            threads::name_in(&world);
            drop(world);
            body();
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        thread.map(|_| port).map_err(|_| KERN_RESOURCE_SHORTAGE)
    }

    fn wait(&self, word: &AtomicU32, value: u32, microseconds: Option<u32>) -> bool {
        let name = self.thread_self();
        let mut state = self.world.lock();
        let deadline = microseconds.map(|time| state.time + u64::from(time) * 1000);
        if word.load(Ordering::Acquire) != value {
            return true;
        }
        if deadline.is_some_and(|deadline| state.time >= deadline) {
            return false;
        }
        state.thread(name).waits = true;
        state = self.world.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.thread(name).waits = false;
        let is_over = deadline.is_some_and(|deadline| state.time >= deadline);
        word.load(Ordering::Acquire) != value || !is_over
    }

    fn wake(&self, _word: &AtomicU32, _all: bool) {
        // Waits may end early, so whoever waits for anything looks again. The lock makes sure that nobody is just
        // between looking and waiting.
        let name = self.thread_self();
        let mut state = self.world.lock();
        let thread = state.thread(name);
        thread.woke_at = thread.effective();
        drop(state);
        self.world.changed.notify_all();
    }

    fn now(&self) -> u64 {
        self.world.lock().time
    }

    fn processors(&self) -> usize {
        self.world.lock().processors
    }

    fn thread_self(&self) -> PortName {
        threads::name_in(&self.world)
    }

    fn thread_number(&self) -> u64 {
        u64::from(self.thread_self().0 >> 8)
    }

    fn tell(&self, note: u64, arguments: [u64; 3], voucher: PortName) -> bool {
        let thread = self.thread_number();
        match &mut self.world.lock().tasks[self.task].notes {
            Some(_) if note == abi::event::note::NONE => true,
            Some(notes) => {
                notes.push(TaskNote { thread, note, arguments, voucher });
                true
            }
            None => false,
        }
    }

    fn set_debug_port(&self, port: PortName) -> Result<(), KernReturn> {
        self.world.lock().tasks[self.task].debug_port = port;
        Ok(())
    }

    /// # Panics
    /// Always: a test expects it.
    fn crash(&self, reason: &str) -> ! {
        panic!("the program ends: {reason}")
    }
}

impl Mock {
    fn entry<'a>(&self, state: &'a mut super::State, name: PortName) -> Result<&'a mut Entry, KernReturn> {
        state.tasks[self.task].names.get_mut(&name).ok_or(KERN_INVALID_NAME)
    }

    fn put_in_set(
        &self,
        port: PortName,
        set: impl FnOnce(&mut super::State) -> Result<Option<u32>, KernReturn>,
    ) -> Result<(), KernReturn> {
        let mut state = self.world.lock();
        let set = set(&mut state)?;
        let Object::Port(port) = self.entry(&mut state, port)?.object else {
            return Err(KERN_INVALID_RIGHT);
        };
        state.ports.get_mut(&port).ok_or(KERN_INVALID_RIGHT)?.set = set;
        self.world.changed.notify_all();
        Ok(())
    }
}
