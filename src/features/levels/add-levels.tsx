/** A button for each level that can be added to the comparison. */
import { Button, Tooltip } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { ADDABLE_IDS } from '../../../workers/contract/levels/level.ts';
import type { LevelId } from '../../../workers/contract/levels/registry.ts';

interface Props {
  disabled: boolean;
  /** Why the target does not run a level; null when it does. */
  refusalOf(id: LevelId): string | null;
  onAdd(id: LevelId): void;
}

/** The buttons, in the order of the levels. */
export function AddLevels({ disabled, refusalOf, onAdd }: Props) {
  return ADDABLE_IDS.map((id) => (
    <AddLevel
      key={id}
      id={id}
      disabled={disabled}
      reason={refusalOf(id)}
      onAdd={() => {
        onAdd(id);
      }}
    />
  ));
}

/** Stays in the tab order where the target does not run the level: the reason is read on focus. */
function AddLevel({
  id,
  disabled,
  reason,
  onAdd,
}: {
  id: LevelId;
  disabled: boolean;
  reason: string | null;
  onAdd(): void;
}) {
  const button = (
    <Button
      variant="subtle"
      size="compact-sm"
      leftSection={<IconPlus size={15} aria-hidden="true" />}
      disabled={disabled}
      {...(reason === null
        ? {}
        : { 'data-disabled': true, 'aria-disabled': true, 'aria-description': `Not offered: ${reason}` })}
      onClick={() => {
        if (reason === null) onAdd();
      }}
    >
      Add {id}
    </Button>
  );
  return reason === null ? (
    button
  ) : (
    <Tooltip
      label={`Not offered: ${reason}`}
      events={{ hover: true, focus: true, touch: true }}
      multiline
      w={300}
      withArrow
    >
      {button}
    </Tooltip>
  );
}
