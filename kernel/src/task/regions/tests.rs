//! What the list of regions promises is broken by hand, and the check must report it.

use super::*;

const START: u64 = ANYWHERE_START;

fn region(first: u64, pages: u64, protection: Protection) -> Region {
    let start = START + first * PAGE_SIZE;
    Region { start, end: start + pages * PAGE_SIZE, protection }
}

/// Returns a list with these regions and the right number of pages.
fn list(regions: &[Region]) -> Regions {
    let pages = regions.iter().map(Region::pages).sum();
    Regions { list: regions.to_vec(), pages, paid: REGIONS_PER_TASK_MAX, operation: None }
}

#[test]
fn regions_that_are_sorted_and_apart_or_differ_are_right() {
    list(&[]).check();
    list(&[region(0, 1, Protection::READ), region(1, 1, Protection::empty()), region(3, 2, Protection::empty())])
        .check();
    let whole = Region { start: USER_START, end: USER_END, protection: Protection::READ };
    list(&[whole]).check();
}

#[test]
#[should_panic(expected = "overlaps another one or is outside user space")]
fn the_check_finds_regions_that_overlap() {
    list(&[region(0, 2, Protection::READ), region(1, 1, Protection::empty())]).check();
}

#[test]
#[should_panic(expected = "overlaps another one or is outside user space")]
fn the_check_finds_an_empty_region() {
    list(&[region(0, 0, Protection::READ)]).check();
}

#[test]
#[should_panic(expected = "overlaps another one or is outside user space")]
fn the_check_finds_a_region_outside_user_space() {
    list(&[Region { start: USER_END - PAGE_SIZE, end: USER_END + PAGE_SIZE, protection: Protection::READ }]).check();
}

#[test]
#[should_panic(expected = "are not joined")]
fn the_check_finds_regions_that_should_be_one() {
    list(&[region(0, 1, Protection::READ), region(1, 1, Protection::READ)]).check();
}

#[test]
#[should_panic(expected = "there are 1025 regions")]
fn the_check_finds_too_many_regions() {
    let regions: Vec<Region> = (0..=REGIONS_PER_TASK_MAX as u64).map(|n| region(2 * n, 1, Protection::READ)).collect();
    list(&regions).check();
}

#[test]
#[should_panic(expected = "pages are counted")]
fn the_check_finds_a_wrong_number_of_pages() {
    let mut regions = list(&[region(0, 2, Protection::READ)]);
    regions.pages = 1;
    regions.check();
}
