"""Inputs on which runtimes differ: each has a number, the right result, and the tests that check it."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]

IDS, RIGHTS = "integration/process/test_ids.py", "integration/process/test_rights.py"
EXEC, PROCESS_FILE = "integration/process/test_exec.py", "integration/process/test_exec_process_file.py"
FOREGROUND, PROCESS = "integration/process/test_foreground.py", "integration/process/test_process.py"
MOUNTS, ROOTLESS_ROOT = (
    "integration/filesystem/test_mount_order.py",
    "integration/filesystem/test_without_mount_namespace.py",
)
CGROUPS, UNIT = "integration/cgroups/test_as_peers_do.py", "tests/cgroup/test_cgroup.py"
HOOKS, DAMAGED = "integration/lifecycle/test_hook_surroundings.py", "integration/lifecycle/test_damaged_state.py"
KILL, LINE = "integration/lifecycle/test_kill_shared.py", "integration/lifecycle/test_command_line.py"
SECCOMP, NEWER = "integration/security/test_seccomp.py", "tests/plan/test_seccomp_newer.py"
VARIANTS, RULES = "integration/security/test_variants.py", "tests/spec/test_spec_rules.py"
DEBUG = "integration/lifecycle/test_debug_log.py"

INPUTS: dict[int, tuple[str, dict[str, str]]] = {
    1: (
        "ids are 0 to 4294967294 wherever one can be given",
        {
            IDS: "test_what_is_no_id_is_refused_by_name test_the_last_id_is_one test_exec_takes_no_other_user "
            "test_exec_takes_no_other_group test_exec_of_a_process_file_takes_no_other_id test_exec_takes_the_last_id "
            "test_the_library_takes_no_other_id test_mount_options_take_ids_as_the_kernel_reads_them",
        },
    ),
    2: (
        "a startContainer hook has the rights of the program, and no more",
        {
            RIGHTS: "test_a_start_container_hook_has_no_more_rights_than_the_program "
            "test_a_start_container_hook_that_fails_is_told"
        },
    ),
    3: (
        "masked and read-only paths hold however they are written",
        {
            MOUNTS: "test_a_masked_path_is_masked_however_it_is_written test_the_root_cannot_be_masked "
            "test_a_read_only_path_may_be_the_root test_a_read_only_file_is_read_only_however_it_is_written"
        },
    ),
    4: (
        "without a mount namespace what can be done is done, and the rest refused by name",
        {
            ROOTLESS_ROOT: "test_what_can_be_done_is_done test_nothing_stays_on_the_host "
            "test_nothing_stays_on_the_host_after_a_failure test_what_cannot_be_done_is_refused_by_name "
            "test_masks_are_refused_as_with_runc"
        },
    ),
    5: (
        "what is read of a bundle or an image is bounded, and never blocks",
        {
            VARIANTS: "test_an_image_s_users_are_no_ordinary_file test_a_caller_s_path_is_no_ordinary_file",
            PROCESS_FILE: "test_a_pipe_that_brings_nothing_or_too_much_or_never_ends test_a_bundles_config_is_a_file "
            "test_a_file_that_is_too_large_is_refused",
            RIGHTS: "test_a_passwd_file_that_does_not_end_holds_nothing_up",
            HOOKS: "test_a_hook_may_say_any_amount_and_its_end_is_told",
        },
    ),
    6: (
        "a user owns the terminal",
        {RIGHTS: "test_a_user_owns_its_terminal test_a_user_owns_the_terminal_of_exec"},
    ),
    7: (
        "null streams are the container's own device, to be read and written",
        {RIGHTS: "test_null_streams_are_the_containers_and_can_be_written"},
    ),
    8: (
        "the program is looked up with the rights that it will have",
        {
            RIGHTS: "test_the_program_is_looked_up_with_the_capabilities_that_it_will_have "
            "test_a_program_that_root_could_not_execute_is_refused_at_create"
        },
    ),
    9: (
        "a working directory that only the user may enter, or that is missing in a read-only root",
        {
            RIGHTS: "test_a_directory_that_only_the_user_may_enter",
            MOUNTS: "test_a_missing_working_directory_is_made_although_the_root_is_read_only",
        },
    ),
    10: (
        "the caller's CPU affinity is not the container's",
        {RIGHTS: "test_the_callers_affinity_is_not_the_containers"},
    ),
    11: ("HOME comes from a passwd of any form", {RIGHTS: "test_home_comes_from_passwd"}),
    12: (
        "a process file may be a pipe",
        {
            PROCESS_FILE: "test_a_process_from_a_pipe test_a_process_from_a_fifo_whose_writer_comes_later "
            "test_a_process_from_standard_input test_what_is_neither_file_nor_pipe_is_refused"
        },
    ),
    13: (
        "a process file that does not say it has the container's capabilities, umask, score, memory policy",
        {
            PROCESS_FILE: "test_a_process_without_capabilities_has_the_containers "
            "test_a_process_has_the_containers_umask_and_oom_score test_exec_has_the_containers_memory_policy "
            "test_a_process_has_the_containers_scheduler test_the_library_completes_a_process_too"
        },
    ),
    14: (
        "SIGKILL reaches every process of a container that shares its pids",
        {
            KILL: "test_sigkill_reaches_every_process_of_a_container_that_shares_its_pids "
            "test_sigkill_reaches_those_whose_init_has_gone test_another_signal_reaches_init_alone"
        },
    ),
    15: (
        "255 for what execve refuses; signals that would stop us are passed on; no capabilities mean none",
        {
            FOREGROUND: "test_run_of_a_program_that_execve_refuses_exits_with_255 "
            "test_a_signal_that_would_stop_us_is_passed_on",
            PROCESS: "test_no_capabilities_means_none",
        },
    ),
    16: (
        "a destination may be relative",
        {
            MOUNTS: "test_a_destination_may_be_relative_and_end_in_a_slash test_a_destination_of_windows_is_refused",
        },
    ),
    17: (
        "a source may lie in what an earlier mount provides",
        {MOUNTS: "test_a_source_may_lie_in_what_an_earlier_mount_provides"},
    ),
    18: ("descriptors do not grow with the mounts", {MOUNTS: "test_descriptors_do_not_grow_with_the_mounts"}),
    19: (
        "flags of bind mounts",
        {MOUNTS: "test_flags_of_a_bind_mount test_flags_of_the_host_are_locked_in_a_user_namespace"},
    ),
    20: (
        "a remount applies its options, or says which it does not know",
        {
            MOUNTS: "test_a_remount_applies_the_options_of_the_file_system "
            "test_an_unknown_option_of_a_remount_is_an_error"
        },
    ),
    21: (
        "tmpcopyup onto a missing directory; destinations of files that end in a slash",
        {
            MOUNTS: "test_tmpcopyup_onto_a_missing_directory_is_open_to_all_users "
            "test_a_destination_may_be_relative_and_end_in_a_slash"
        },
    ),
    22: (
        "unbindable sources, a path masked twice, the hostname as a sysctl",
        {
            MOUNTS: "test_what_is_unbindable_on_the_host_is_bound test_a_root_that_is_unbindable_on_the_host_is_one "
            "test_an_unbindable_mount_below_a_source_is_bound_with_it test_a_path_masked_twice_is_masked_once "
            "test_the_hostname_is_no_sysctl"
        },
    ),
    23: (
        "system calls newer than the profile answer ENOSYS",
        {
            SECCOMP: "test_calls_newer_than_the_profile_answer_enosys",
            NEWER: "test_each_architecture_has_a_highest_call_of_its_own "
            "test_a_default_that_lets_calls_through_lets_new_ones_through "
            "test_a_rule_for_the_newest_call_is_what_it_says",
        },
    ),
    24: (
        "a pids limit of 0 is a limit",
        {UNIT: "test_pids_and_block_io", "integration/cgroups/test_update.py": "test_no_process_more_is_a_limit"},
    ),
    25: ("a tun device may be opened", {CGROUPS: "test_a_tun_device_may_be_opened_though_no_rule_allows_it"}),
    26: (
        "empty cpusets above a container are filled",
        {CGROUPS: "test_empty_cpusets_above_a_container_are_filled test_what_a_user_gave_a_cpuset_above_stays"},
    ),
    27: (
        "limits that say nothing are none; cpu.shares in the words that engines read; weights of block io",
        {
            CGROUPS: "test_a_value_that_says_nothing_is_none "
            "test_shares_that_the_kernel_does_not_take_are_refused_in_the_words_that_engines_read "
            "test_the_weight_of_block_io_goes_into_the_file_that_the_kernel_has",
            UNIT: "test_swap_of_v2_is_the_rest_of_memory_and_swap "
            "test_the_file_of_weights_is_known_from_the_top_or_from_a_cgroup_below "
            "test_weights_of_v2_go_into_bfqs_file_where_the_kernel_has_it",
        },
    ),
    28: (
        "spec has a cgroup namespace where runc's has",
        {"tests/cli/test_cli_commands.py": "test_spec_has_runcs_namespaces_on_this_host"},
    ),
    29: (
        "exec joins init's own cgroup where the container's takes no process",
        {
            CGROUPS: "test_exec_into_a_container_whose_init_moved_to_a_cgroup_below "
            "test_exec_into_a_container_whose_v2_cgroup_was_removed test_exec_into_a_container_with_threaded_children "
            "test_exec_into_a_container_whose_cgroup_became_threaded "
            "test_exec_into_a_container_that_has_handed_its_controllers_on "
            "test_exec_into_a_container_whose_cgroup_is_no_valid_domain"
        },
    ),
    30: (
        "the environment and the directory of hooks",
        {
            HOOKS: "test_a_host_hook_without_env_has_the_runtimes_environment "
            "test_start_container_has_the_environment_of_the_process "
            "test_an_empty_env_is_an_environment_without_variables test_a_host_hook_runs_in_the_bundle "
            "test_a_hook_of_the_container_runs_in_its_root"
        },
    ),
    31: (
        "a poststart hook that fails ends the container",
        {
            HOOKS: "test_a_failing_poststart_after_start_destroys_the_container "
            "test_a_failing_poststart_is_told_though_init_has_ended"
        },
    ),
    32: ("a hook's timeout of any length", {HOOKS: "test_a_timeout_may_be_longer_than_poll_takes"}),
    33: (
        "a later minor version is taken, another major one is not",
        {RULES: "test_a_later_minor_version_is_taken_with_a_warning test_versions_that_are_taken"},
    ),
    34: (
        "--debug tells what was done",
        {
            DEBUG: "test_every_command_logs_what_it_did test_without_debug_nothing_is_written "
            "test_the_plan_and_each_step_that_was_done_are_told"
        },
    ),
    35: (
        "a damaged state is named, and can be removed",
        {
            DAMAGED: "test_a_damaged_state_is_named_and_removed test_what_is_no_json_is_damaged_too",
            VARIANTS: "test_each_field_of_the_state_damaged",
        },
    ),
    36: (
        "a state directory that is not there; nothing but containers in one",
        {
            DAMAGED: "test_list_of_a_state_directory_that_is_not_there_is_empty",
            SECCOMP: "test_nothing_but_containers_is_in_the_state_directory",
        },
    ),
    37: (
        "command lines: exit statuses, numbers, flags, signals",
        {
            LINE: "test_exit_statuses_of_wrong_lines test_a_flag_of_any_command_may_be_given_as_false "
            "test_a_flag_of_exec_that_is_given_counts_and_one_that_is_not_leaves_the_containers "
            "test_numbers_are_read_as_go_reads_them test_sizes_are_read_as_runc_reads_them "
            "test_signals_are_read_in_every_spelling test_ids_of_exec_may_have_a_sign_and_zeros "
            "test_descriptors_that_are_none_are_passed_over"
        },
    ),
    38: (
        "what state, list, ps and events print where there is nothing",
        {
            LINE: "test_the_owner_is_told_by_list test_what_has_nothing_in_it_is_null "
            "test_counts_of_zero_are_left_out_of_events"
        },
    ),
    39: (
        "nothing is run for a caller that cannot be told of it",
        {
            LINE: "test_nothing_is_run_for_a_caller_that_can_not_be_told "
            "test_a_pid_file_that_can_not_be_written_comes_before_the_program"
        },
    ),
}


@pytest.mark.parametrize("number", INPUTS)
def test_each_input_has_tests_that_are_there(number: int) -> None:
    _, tests = INPUTS[number]
    assert tests
    for file, names in tests.items():
        text = (TOP / file).read_text()
        for name in names.split():
            assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{file} has no {name}"


def test_no_number_is_left_out() -> None:
    assert list(INPUTS) == list(range(1, len(INPUTS) + 1))
