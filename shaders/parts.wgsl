// Parts of the work, one of a workgroup of THREADS; where THREADS is 1, eight of eight.

//: if THREADS == 1u
const PARTS: u32 = 8u;
//: else
const PARTS: u32 = 1u;
//: end

// For all threads the same where they share it: they wait for each other then.
fn part_of(group: u32, t: u32) -> u32 {
  //: if THREADS == 1u
  return group * PARTS + t;
  //: else
  return group;
  //: end
}
