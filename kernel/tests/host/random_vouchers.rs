//! The random calls of the simulation's actors that concern vouchers.

use crate::message::Msg;
use crate::simulation::Simulation;
use crate::vouchers::{ALL, TEST, USER_DATA, cp, current_task, it, priority, st};
use crate::world::{ARGUMENTS, Actor, BUFFER, Ret};
use abi::PortName;
use abi::message::*;
use abi::mig;
use abi::port::*;
use abi::trap::mach;

impl Simulation {
    /// Picks a voucher of the task, or null if it has none, and sometimes another name.
    pub fn voucher(&mut self, actor: Actor) -> PortName {
        let names = self.world.names(actor).into_iter().map(|(name, _)| name);
        let vouchers: Vec<_> = names.filter(|&name| self.world.voucher_of(actor, name).is_some()).collect();
        match vouchers[..] {
            _ if self.random.one_in(12) => self.name(actor),
            [] => MACH_PORT_NULL,
            _ => self.random.pick(&vouchers),
        }
    }

    /// Makes a voucher, or reads one, or lets a thread adopt one.
    pub fn voucher_call(&mut self, actor: Actor) {
        let name = self.voucher(actor);
        let buffer = self.world.buffer(actor);
        match self.random.below(8) {
            0..4 => {
                let recipes = self.recipes(actor);
                self.world.start_trap(actor, mach::HOST_SELF, &[]);
                let Ret::Done(host) = self.world.state(actor) else { return };
                self.world.put(actor, BUFFER, &recipes);
                let result = self.world.result(actor);
                let args = [host, buffer, recipes.len() as u64, result];
                self.trap(actor, mach::HOST_CREATE_MACH_VOUCHER, &args);
            }
            4 | 5 => {
                let room = self.random.pick(&[0u32, 16, 17, 200, 300, 5120, 5121]);
                self.world.put(actor, ARGUMENTS, &room.to_le_bytes());
                let key = self.random.below(9);
                let args = [name.0.into(), key, buffer, actor.memory + ARGUMENTS];
                self.trap(actor, mach::MACH_VOUCHER_EXTRACT_ATTR_RECIPE, &args);
            }
            6 => {
                let id = self.random.pick(&[5400, 5401, 5402, 5403, 5404, 222, 3439, 3625]);
                let words = [self.random.below(9) as u32, self.random.pick(&[0, 4, 100, u32::MAX]), 0, 100];
                let count = self.random.below(5) as usize;
                self.request(actor, Msg::copy_send(name).id(id).body(&mig::NDR).words(&words[..count]));
            }
            _ => {
                self.world.start_trap(actor, mach::THREAD_SELF, &[]);
                let Ret::Done(thread) = self.world.state(actor) else { return };
                let id = self.random.pick(&[mig::thread_act::SET_MACH_VOUCHER, mig::thread_act::SWAP_MACH_VOUCHER]);
                let to = PortName(thread as u32);
                self.request(actor, Msg::copy_send(to).id(id).port(name, Disposition::COPY_SEND));
            }
        }
    }

    /// Sends a request to a kernel object, perhaps with a reply port.
    fn request(&mut self, actor: Actor, mut request: Msg) {
        if self.random.one_in(2) {
            request = request.reply_to(self.name_of(actor, PortType::RECEIVE), Disposition::MAKE_SEND_ONCE);
        }
        let _ = self.world.send_with(actor, &request, MsgOption::SEND_TIMEOUT, 0);
        self.clear_failures();
    }

    /// Returns up to four recipes, most of them good.
    fn recipes(&mut self, actor: Actor) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.random.below(5) {
            let name = self.voucher(actor);
            let previous = if self.random.one_in(4) { name } else { MACH_PORT_NULL };
            let content = self.random.pick(&[&b"a"[..], b"bb", &[7; 100], &[8; 1500]]);
            bytes.extend(match self.random.below(8) {
                0..3 => st(self.random.pick(&[USER_DATA, TEST]), content),
                3 => current_task(),
                4 => priority(self.random.next() as u32 & 0x3FFF),
                5 => it(self.random.below(10) as u32, self.random.pick(&[1, 2, 4, 5, 10]), previous, b""),
                6 => cp(ALL, previous),
                _ => it(self.random.next() as u32, self.random.next() as u32, previous, content),
            });
        }
        if self.random.one_in(12) {
            bytes.truncate(self.random.below(bytes.len() as u64 + 1) as usize);
        }
        bytes
    }
}
