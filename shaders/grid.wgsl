// A grid of workgroups that may be spread over x and y (more than 65,535 of them).

fn linear_group(group: vec3u, groups: vec3u) -> u32 {
  return group.x + groups.x * (group.y + groups.y * group.z);
}
