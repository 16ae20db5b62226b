//! Bad entries of `provision`, `on_error` and `preflight`.

use crate::bad_input::answers;

const UPLOAD: &str = "- upload: { from: files/, to: files/ }";
const TOP: &str = "stages:";

answers! {
    entry_without_a_kind: UPLOAD => "- { name: x, retry: 3 }";
    entry_with_two_kinds: UPLOAD => "- { pause: { for: 1s }, reboot: {} }";
    entry_unknown_kind: UPLOAD => "- restart: {}";
    entry_unknown_key_beside: UPLOAD => "- reboot: {}\n        retries: 3";
    entry_is_a_word: UPLOAD => "- reboot";
    name_twice: UPLOAD => "- run: { name: a, inline: x }\n        name: b";
    needs_twice: UPLOAD => "- run: { needs: [rhel], inline: x }\n        needs: [internet]";
    needs_repeated_beside: UPLOAD => "- reboot: {}\n        needs: [rhel, rhel]";
    needs_word: UPLOAD => "- reboot: {}\n        needs: [debian]";
    timeout_without_unit: UPLOAD => "- reboot: {}\n        timeout: 10";
    retry_zero: UPLOAD => "- reboot: {}\n        retry: 0";
    retry_too_often: UPLOAD => "- reboot: {}\n        retry: 101";
    retry_word: UPLOAD => "- reboot: {}\n        retry: always";
    retry_without_times: UPLOAD => "- reboot: {}\n        retry: { delay: 5s }";
    retry_unknown_key: UPLOAD => "- reboot: {}\n        retry: { times: 3, pause: 5s }";
    retry_of_a_pause: UPLOAD => "- pause: { for: 5s }\n        retry: 3";
    timeout_of_a_breakpoint: UPLOAD => "- breakpoint: {}\n        timeout: 5s";
    only_without_a_matrix: UPLOAD => "- reboot: {}\n        only: [us-east-1-*]";
    only_names_nothing: UPLOAD => "- reboot: {}\n        only: []";
    except_bracket: UPLOAD => "- reboot: {}\n        except: ['us-[ew]ast-*']";
    pause_before_word: UPLOAD => "- reboot: {}\n        pause_before: soon";

    local_with_become: UPLOAD => "- run: { inline: x, local: true, become: root }";
    local_with_reboots: UPLOAD => "- run: { inline: x, local: true, reboots: true }";
    local_word: UPLOAD => "- run: { inline: x, local: here }";
    reboots_with_several_scripts: UPLOAD => "- run: { scripts: [scripts/a.sh, scripts/a.sh], reboots: true }";
    env_of_qibs_own: UPLOAD => "- run: { inline: x, env: { QIB_STAGE: x } }";
    creates_outside_of_preflight: UPLOAD => "- run: { inline: x, local: true, creates: [a] }";

    download_without_target: UPLOAD => "- download: { from: /var/log/x }";
    download_into_a_home: UPLOAD => "- download: { from: /var/log/x, to: ~/x }";
    download_from_another_home: UPLOAD => "- download: { from: '~root/x', to: x }";
    download_unknown_key: UPLOAD => "- download: { from: x, to: y, mode: '0644' }";
    download_with_a_secret: UPLOAD => "- download: { from: x, to: \"${{ vars.token }}\" }";

    reboot_timeout: UPLOAD => "- reboot: { timeout: 10 }";
    reboot_empty: UPLOAD => "- reboot:";
    reboot_unknown_key: UPLOAD => "- reboot: { after: 5s }";

    wait_for_nothing: UPLOAD => "- wait_for: { every: 5s }";
    wait_for_two: UPLOAD => "- wait_for: { port: 80, cloud_init: true }";
    wait_for_no_cloud_init: UPLOAD => "- wait_for: { cloud_init: false }";
    wait_for_port_zero: UPLOAD => "- wait_for: { port: 0 }";
    wait_for_port_too_high: UPLOAD => "- wait_for: { port: 65536 }";
    wait_for_become_without_command: UPLOAD => "- wait_for: { port: 80, become: root }";
    wait_for_env_without_command: UPLOAD => "- wait_for: { cloud_init: true, env: { A: b } }";
    wait_for_empty_command: UPLOAD => "- wait_for: { command: ' ' }";
    wait_for_unknown_key: UPLOAD => "- wait_for: { port: 80, for: 1h }";
    http_without_scheme: UPLOAD => "- wait_for: { http: { url: example.com/graph } }";
    http_other_scheme: UPLOAD => "- wait_for: { http: { url: 'ftp://example.com/' } }";
    http_blank: UPLOAD => "- wait_for: { http: { url: 'https://example.com/a b' } }";
    http_user_in_the_url: UPLOAD => "- wait_for: { http: { url: 'https://me@example.com/' } }";
    http_status: UPLOAD => "- wait_for: { http: { url: 'https://example.com/', status: 42 } }";
    http_from: UPLOAD => "- wait_for: { http: { url: 'https://example.com/', from: here } }";
    http_header_name: UPLOAD => "- wait_for: { http: { url: 'https://example.com/', headers: { 'A B': c } } }";
    http_header_with_a_new_line: UPLOAD => "- wait_for: { http: { url: 'https://example.com/', headers: { A: \"b\\nC: d\" } } }";
    http_secret_in_the_clear: UPLOAD => "- wait_for: { http: { url: 'http://example.com/', headers: { A: \"${{ vars.token }}\" } } }";
    http_secret_in_the_url: UPLOAD => "- wait_for: { http: { url: 'https://example.com/${{ vars.token }}' } }";
    http_unknown_key: UPLOAD => "- wait_for: { http: { url: 'https://example.com/', method: POST } }";
    json_path: UPLOAD => "- wait_for: { http: { url: 'https://example.com/', json: { path: 'nodes[x]', equals: a } } }";
    json_without_wish: UPLOAD => "- wait_for: { http: { url: 'https://example.com/', json: { path: a } } }";
    json_with_two_wishes: UPLOAD => "- wait_for: { http: { url: 'https://example.com/', json: { path: a, equals: b, contains: c } } }";

    pause_without_length: UPLOAD => "- pause: {}";
    pause_forever: UPLOAD => "- pause: { for: ever }";
    breakpoint_unknown_key: UPLOAD => "- breakpoint: { text: look }";
    breakpoint_with_a_secret: UPLOAD => "- breakpoint: { message: \"${{ vars.token }}\" }";

    on_error_reboot: "    image:" => "    on_error: [{ reboot: {} }]\n    image:";
    on_error_script_that_reboots: "    image:" => "    on_error: [{ run: { inline: x, reboots: true } }]\n    image:";
    on_error_missing_script: "    image:" => "    on_error: [{ run: { script: scripts/none.sh } }]\n    image:";
    on_error_is_a_map: "    image:" => "    on_error: { run: { inline: x } }\n    image:";

    preflight_kind: TOP => "preflight: [{ upload: { from: files/, to: x } }]\nstages:";
    preflight_become: TOP => "preflight: [{ run: { inline: x, become: root } }]\nstages:";
    preflight_two: TOP => "preflight: [{ run: { inline: x }, wait_for: { command: x } }]\nstages:";
    preflight_name_twice: TOP => "preflight: [{ run: { inline: x, name: a }, name: b }]\nstages:";
    preflight_only: TOP => "preflight: [{ run: { inline: x }, only: [a] }]\nstages:";
    preflight_port: TOP => "preflight: [{ wait_for: { port: 80 } }]\nstages:";
    preflight_from_the_instance: TOP => "preflight: [{ wait_for: { http: { url: 'https://example.com/', from: instance } } }]\nstages:";
    preflight_command_as_root: TOP => "preflight: [{ wait_for: { command: x, become: root } }]\nstages:";
    preflight_missing_script: TOP => "preflight: [{ run: { script: scripts/none.sh } }]\nstages:";
    preflight_script_that_an_earlier_one_makes: TOP => "preflight: [{ run: { inline: x, creates: [scripts/new.sh] } }, { run: { script: scripts/new.sh } }]\nstages:";
    preflight_made_twice: TOP => "preflight: [{ run: { inline: x, creates: [a, ./a] } }]\nstages:";
    preflight_of_a_stage: TOP => "preflight: [{ run: { inline: \"echo ${{ source.id }}\" } }]\nstages:";
    preflight_env_of_a_cell: TOP => "preflight: [{ run: { inline: x, env: { A: \"${{ cell }}\" } } }]\nstages:";
    preflight_nothing_that_succeeds: TOP => "preflight: [{ run: { inline: x, exit_codes: [] } }]\nstages:";
    preflight_creates_what_nothing_else_excuses: UPLOAD => "- upload: { from: made.yaml, to: x }";
}
