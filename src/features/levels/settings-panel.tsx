/** The settings of a level as controls, one for each entry of the settings table that the page offers. */
import { NativeSelect, SegmentedControl, Switch, TextInput } from '@mantine/core';
import { useId, useState, type ReactNode } from 'react';
import {
  choicesAt,
  readPatterns,
  settingIds,
  settingOf,
  valueAt,
  type Level,
} from '../../../workers/contract/levels/level.ts';
import { SCHEMES } from '../../../workers/contract/levels/registry.ts';
import type { ChoiceSetting, PatternsSetting, SettingId } from '../../../workers/contract/settings.ts';
import { plural } from '../../lib/format/numbers.ts';
import layout from '../../ui/layout.module.css';
import { Term } from '../../ui/terms/term.tsx';
import { withSetting } from '../../store/targets.ts';
import classes from './levels.module.css';

interface Props {
  level: Level;
  disabled: boolean;
  /** Whether the target refuses a level: what would make it one cannot be chosen. */
  isRefused(level: Level): boolean;
  /** Id of the text that says what is refused, and why. */
  describedBy: string;
  onChange(level: Level): void;
}

/** A control for each setting that the level takes, and the value of each that is fixed there. */
export function SettingsPanel(props: Props) {
  const { id, settings } = props.level;
  return settingIds().map((key) => {
    const setting = settingOf(key);
    if (!setting) return null;
    if (!Object.hasOwn(SCHEMES[id].settings, key)) {
      const label = setting.fixed?.(SCHEMES[id].resolve(settings))?.label ?? null;
      return (
        label !== null && (
          <Row key={key} setting={key} label={setting.label}>
            {() => <span className={classes.fixed}>{label}</span>}
          </Row>
        )
      );
    }
    switch (setting.kind) {
      case 'choice':
        return setting.control && <ChoiceControl key={key} {...props} id={key} setting={setting} />;
      case 'patterns':
        return setting.control && <PatternsControl key={key} {...props} id={key} setting={setting} />;
      case 'overrides':
        return null;
    }
  });
}

function ChoiceControl({
  level,
  disabled,
  isRefused,
  describedBy,
  onChange,
  id,
  setting: { control, label },
}: Props & { id: SettingId; setting: ChoiceSetting }) {
  const value = valueAt(level, id);
  const choices = choicesAt(level.id, id);
  const choose = (chosen: unknown) => {
    onChange(withSetting(level, id, chosen));
  };
  const data = choices.map((choice) => ({
    value: String(choice.value),
    label: choice.label ?? choice.words,
    disabled: isRefused(withSetting(level, id, choice.value)),
  }));
  const named = (text: string) => choices.find((choice) => String(choice.value) === text)?.value;
  return (
    <Row setting={id} label={label}>
      {(labelId) =>
        control === 'select' ? (
          <NativeSelect
            size="xs"
            aria-labelledby={labelId}
            aria-describedby={describedBy}
            disabled={disabled}
            className={classes.select}
            data={data}
            value={String(value)}
            onChange={(event) => {
              choose(named(event.currentTarget.value));
            }}
          />
        ) : control === 'segments' ? (
          <SegmentedControl
            size="xs"
            aria-labelledby={labelId}
            aria-describedby={describedBy}
            disabled={disabled}
            data={data}
            value={String(value)}
            onChange={(text) => {
              choose(named(text));
            }}
          />
        ) : (
          <Switch
            size="sm"
            aria-labelledby={labelId}
            disabled={disabled}
            checked={value !== control?.off}
            onChange={(event) => {
              choose(event.currentTarget.checked ? control?.on : control?.off);
            }}
          />
        )
      }
    </Row>
  );
}

/** A list of names. It is taken over when the field loses focus or Enter is pressed: half a name would match something else. */
function PatternsControl({
  level,
  disabled,
  onChange,
  id,
  setting: { control, label, help },
}: Props & { id: SettingId; setting: PatternsSetting }) {
  const kept = valueAt(level, id) as string[];
  const [text, setText] = useState(kept.join(', '));
  const take = () => {
    const patterns = readPatterns(text);
    setText(patterns.join(', '));
    if (patterns.join(' ') !== kept.join(' ')) onChange(withSetting(level, id, patterns));
  };
  return (
    <details className={layout.fold}>
      <summary>
        {control?.list}: {kept.length === 0 ? 'none' : plural(kept.length, 'pattern')}
      </summary>
      <TextInput
        size="xs"
        value={text}
        disabled={disabled}
        classNames={{ description: classes.hint ?? '' }}
        label={label}
        description={help}
        placeholder={control?.placeholder}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        onChange={(event) => {
          setText(event.currentTarget.value);
        }}
        onBlur={take}
        onKeyDown={(event) => {
          if (event.key === 'Enter') take();
        }}
      />
    </details>
  );
}

/** The explanation is on the label, and the control takes the label as its name. */
function Row({
  setting,
  label,
  children,
}: {
  setting: SettingId;
  label: string;
  children: (labelId: string) => ReactNode;
}) {
  const id = useId();
  return (
    <div className={classes.setting}>
      <span id={id}>
        <Term id={setting}>{label}</Term>
      </span>
      {children(id)}
    </div>
  );
}
