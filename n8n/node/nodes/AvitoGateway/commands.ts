import type { INodeProperties } from 'n8n-workflow';

import { forItem, segment, shownFor, type Operation } from './parameters';
import { ask } from './request';

const RESOURCE = 'command';

export const commandProperties: INodeProperties[] = [
	{
		displayName: 'Operation',
		name: 'operation',
		type: 'options',
		noDataExpression: true,
		displayOptions: { show: { resource: [RESOURCE] } },
		options: [
			{
				name: 'Cancel',
				value: 'cancel',
				action: 'Cancel a command',
				description: 'Take back what is not being sent yet',
			},
			{
				name: 'Get Status',
				value: 'get',
				action: 'Get the status of a command',
				description: 'Get what became of a message or deed, with a timeline',
			},
		],
		default: 'get',
	},
	{
		displayName: 'Command ID',
		name: 'commandId',
		type: 'string',
		required: true,
		default: '',
		description: 'Of the output of a send: command_id',
		displayOptions: shownFor(RESOURCE, 'cancel', 'get'),
	},
];

export const commandOperations: Record<string, Operation> = {
	async get(context, item) {
		const path = `/api/commands/${segment(context, 'commandId', item)}`;
		return [await ask(context, { path, ...forItem(context, item) })];
	},

	async cancel(context, item) {
		const path = `/api/commands/${segment(context, 'commandId', item)}`;
		return [await ask(context, { method: 'DELETE', path, ...forItem(context, item) })];
	},
};
