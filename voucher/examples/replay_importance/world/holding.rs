//! Vouchers in the hands of tasks. A task has one right to a voucher, with a number of user references, and a message
//! that carries a voucher has one. Each right is a reference to the voucher.

use super::World;
use voucher::{Error, Key, OutBuffer, Recipe, Recipes, VoucherId, attr_command, create_voucher, release_voucher};

/// A recipe: key, command, previous voucher and content.
pub type Item = (u32, u32, Option<VoucherId>, Vec<u8>);

impl World {
    /// Makes another right to a voucher.
    pub(super) fn copy_right(&mut self, voucher: VoucherId) {
        self.vouchers.registry.retain(voucher).expect("the count is below its limit");
    }

    /// Drops a right to a voucher.
    pub(super) fn release_right(&mut self, voucher: VoucherId) {
        let rest = self.with_vouchers(|system| release_voucher(system, voucher));
        assert!(rest.is_none(), "every manager answers at once");
    }

    /// Gives a right to a task, as a user reference.
    pub(super) fn give_right(&mut self, task: usize, voucher: VoucherId) {
        let name = format!("v{}", self.voucher_names.len() + 1);
        self.voucher_names.entry(voucher).or_insert(name);
        let refs = self.kernel.tasks[task].vouchers.entry(voucher).or_default();
        *refs += 1;
        if *refs > 1 {
            self.release_right(voucher);
        }
    }

    /// Takes a user reference from a task, as a right.
    pub(super) fn take_right(&mut self, task: usize, voucher: VoucherId) {
        let vouchers = &mut self.kernel.tasks[task].vouchers;
        let refs = vouchers.get_mut(&voucher).expect("the task has the voucher");
        *refs -= 1;
        if *refs == 0 {
            vouchers.remove(&voucher);
        } else {
            self.copy_right(voucher);
        }
    }

    /// Drops a user reference.
    pub fn drop_voucher(&mut self, task: &str, voucher: VoucherId) {
        let task = self.kernel.task_number(task).expect("the task exists");
        self.take_right(task, voucher);
        self.release_right(voucher);
    }

    /// Creates a voucher for a task.
    pub fn create_voucher(&mut self, task: &str, items: &[Item]) -> Result<Option<VoucherId>, Error> {
        let caller = self.caller(task);
        let recipe = |item: &'_ Item| (item.0, item.1, item.2);
        let recipes: Vec<Recipe<'_>> = items
            .iter()
            .map(|item| {
                let (key, command, previous) = recipe(item);
                Recipe { previous, ..Recipe::new(key, command, &item.3) }
            })
            .collect();
        let created =
            self.with_vouchers(|system| create_voucher(system, &caller, &mut Recipes::new(&recipes)).expect_done())?;
        if let Some(voucher) = created {
            let number = self.kernel.task_number(task).expect("the task exists");
            self.give_right(number, voucher);
        }
        Ok(created)
    }

    /// Sends a command to the manager of importance. `room` is the size of the result that the caller accepts.
    pub fn command(
        &mut self,
        task: &str,
        voucher: VoucherId,
        command: u32,
        input: &[u8],
        room: usize,
    ) -> Result<Vec<u8>, Error> {
        let caller = self.caller(task);
        let mut bytes = vec![0; room];
        let mut out = OutBuffer::new(&mut bytes);
        let key = Key::IMPORTANCE.number();
        self.with_vouchers(|system| attr_command(system, &caller, Some(voucher), key, command, input, &mut out))?;
        let size = out.size();
        bytes.truncate(size);
        Ok(bytes)
    }

    /// Returns the text that describes the importance of a voucher, in a buffer of `room` bytes.
    pub fn describe(&mut self, voucher: VoucherId, room: usize) -> Result<String, Error> {
        let mut bytes = vec![0; room];
        let mut out = OutBuffer::new(&mut bytes);
        let caller = voucher::CallingTask::KERNEL;
        let key = Key::IMPORTANCE.number();
        self.with_vouchers(|system| voucher::extract_attr_content(system, &caller, Some(voucher), key, &mut out))?;
        let size = out.size();
        bytes.truncate(size);
        assert_eq!(bytes.pop(), Some(0), "the text ends with a 0");
        Ok(String::from_utf8(bytes).expect("it is a text"))
    }
}
