//! Compares the visible state of the crate with that of the rules.

use crate::rules::Content;
use crate::world::World;
use std::collections::BTreeMap;
use voucher::managers::bank::BankElement;
use voucher::*;

impl World {
    pub fn compare(&self) {
        self.real.registry.check(self.waiting.is_empty());
        self.compare_vouchers();
        for key in Key::all() {
            self.compare_key(key);
        }
        self.compare_bank();
        self.compare_managers();
    }

    fn compare_vouchers(&self) {
        let live_vouchers = self.rules.live_vouchers();
        assert_eq!(self.real.registry.len(), live_vouchers.len());
        for (voucher, expected) in self.rules.vouchers.iter().enumerate() {
            let id = self.id(voucher);
            let real = self.real.registry.get(id);
            assert_eq!(real.is_some(), self.rules.is_alive(voucher), "voucher {voucher}");
            let Some(real) = real else { continue };
            let port = (real.port().is_some(), real.port_holds_reference());
            assert_eq!((real.refs(), port), (expected.refs(), (expected.has_port, expected.port_holds_reference)));
            let handles = self.real.registry.attributes(id);
            let attributes: BTreeMap<u32, Content> =
                handles.map(|(key, handle)| (key.number(), self.content(key.number(), handle))).collect();
            assert_eq!(attributes, expected.attributes, "voucher {voucher}");
        }
    }

    fn compare_key(&self, key: Key) {
        let number = key.number();
        let (real, expected) = (self.real.registry.control(key), self.rules.controls.get(&number));
        assert_eq!(real.is_some(), expected.is_some(), "{key:?}");
        let Some((real, expected)) = real.zip(expected) else { return };
        let elements = self.rules.elements.iter().filter(|element| element.key == number);
        for element in elements {
            let value = real.values().find(|(_, value)| self.has_content(number, value, &element.content));
            let (_, value) = value.unwrap_or_else(|| panic!("{key:?} has no value for {element:?}"));
            let counts = (value.refs(), value.made(), value.is_releasing());
            assert_eq!(counts, (element.refs, element.made, element.releasing), "{key:?}: {:?}", element.content);
        }
        let count = self.rules.values_of(number);
        assert_eq!(real.values_in_use() as u64, count, "{key:?}");
        assert_eq!(real.refs(), expected.owned + expected.asked + count, "{key:?}");
    }

    /// Returns true if a value has this content.
    fn has_content(&self, key: u32, value: &AttributeValue, content: &Content) -> bool {
        self.content(key, value.handle()) == *content
    }

    fn compare_bank(&self) {
        let bank = &self.rules.bank;
        let mut tasks = 0;
        for (task, &id) in self.tasks.iter().enumerate() {
            let made = self.made(3, &Content::Task(task));
            let (as_holder, as_merchant, parts) = bank.parts_of(task);
            let is_alive = bank.tasks[task].is_alive;
            let refs = u64::from(is_alive) + u64::from(made > 0) + parts;
            let Some(BankElement::Task(real)) = self.real.bank.element(id) else {
                assert_eq!(refs, 0, "task {task}");
                continue;
            };
            tasks += 1;
            assert_eq!(
                (real.refs(), real.made(), real.accounts()),
                (refs, made, (as_holder, as_merchant)),
                "task {task}"
            );
            if is_alive {
                assert_eq!(self.balance(task), bank.balance(task), "task {task}");
            }
        }
        assert_eq!(self.real.bank.len(), (tasks, bank.accounts()));
    }

    fn compare_managers(&self) {
        for (key, manager) in [(7, &self.real.user_data), (8, &self.real.test)] {
            assert_eq!(manager.len(), self.rules.made.iter().filter(|made| made.key == key).count());
        }
        for (&key, numbers) in &self.numbers {
            let numbers = numbers.borrow();
            let made = self.rules.made.iter().filter(|made| made.key == key);
            let expected: BTreeMap<u64, u64> = made
                .map(|made| match made.content {
                    Content::Number(number) => (number, made.count),
                    ref other => panic!("{other:?} is not a number"),
                })
                .collect();
            assert_eq!(numbers.counts, expected, "key {key}");
            assert_eq!(numbers.released, !self.rules.registered(key), "key {key}");
        }
    }

    fn made(&self, key: u32, content: &Content) -> u64 {
        let made = self.rules.made.iter().find(|made| made.key == key && made.content == *content);
        made.map_or(0, |made| made.count)
    }
}
