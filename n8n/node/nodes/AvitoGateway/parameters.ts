import {
	NodeOperationError,
	type IDataObject,
	type IExecuteFunctions,
	type INodeProperties,
} from 'n8n-workflow';

import { idempotencyKey } from './key';
import { withOffset } from './moment';

/** One deed of the node for one input item; each object returned becomes an output item. */
export type Operation = (context: IExecuteFunctions, item: number) => Promise<IDataObject[]>;

/** Returns `displayOptions` for operations of a resource. */
export function shownFor(resource: string, ...operation: string[]) {
	return { show: { resource: [resource], operation } };
}

export const chatIdField: Omit<INodeProperties, 'displayOptions'> = {
	displayName: 'Chat ID',
	name: 'chatId',
	type: 'string',
	required: true,
	default: '',
	placeholder: 'e.g. u2i-AbCdEfGhIjKlMnOpQrStUg',
	description: 'Of the trigger: external_chat_id',
};

export const returnAllField: Omit<INodeProperties, 'displayOptions'> = {
	displayName: 'Return All',
	name: 'returnAll',
	type: 'boolean',
	default: false,
	description: 'Whether to return all results or only up to a given limit',
};

export const limitField: Omit<INodeProperties, 'displayOptions'> = {
	displayName: 'Limit',
	name: 'limit',
	type: 'number',
	typeOptions: { minValue: 1 },
	default: 50,
	description: 'Max number of results to return',
};

export const waitOption: INodeProperties = {
	displayName: 'Wait for the Outcome',
	name: 'waitSeconds',
	type: 'number',
	typeOptions: { minValue: 0, maxValue: 25 },
	default: 20,
	description:
		'How many seconds to wait (up to 25) for Avito to take it. Sent: the output has the message ID. Failed: the node fails. Not ended by then: the output says queued.',
};

/** What every send may add, except for `split` and the wait. */
export const sendOptions: INodeProperties[] = [
	{
		displayName: 'Callback URL',
		name: 'callbackUrl',
		type: 'string',
		default: '',
		placeholder: 'e.g. {{ $execution.resumeUrl }}',
		description:
			"Where the gateway posts the outcome: a Wait node's resume URL, or another address of n8n",
	},
	{
		displayName: 'Expires In',
		name: 'expiresIn',
		type: 'number',
		typeOptions: { minValue: 1 },
		default: 3600,
		description: 'Seconds after which it is not sent any more, from Send At or now on',
	},
	{
		displayName: 'Idempotency Key',
		name: 'idempotencyKey',
		type: 'string',
		default: '',
		placeholder: 'e.g. order-1234',
		description:
			'Requests with the same key are one message. Leave it empty for a key of its own for each execution, node, loop round and item.',
	},
	{
		displayName: 'Priority',
		name: 'priority',
		type: 'options',
		options: [
			{ name: 'Bulk', value: 'bulk', description: 'Uses what interactive messages leave' },
			{ name: 'Interactive', value: 'interactive', description: 'Goes out at once' },
		],
		default: 'interactive',
	},
	{
		displayName: 'Send At',
		name: 'sendAt',
		type: 'dateTime',
		default: '',
		description: "Not before this moment, in the workflow's time zone",
	},
];

/** Returns a parameter as text; what is missing is an empty text, and never the word undefined. */
export function text(context: IExecuteFunctions, name: string, item: number): string {
	return String(context.getNodeParameter(name, item, '') ?? '');
}

/** Returns a parameter as the part of a path. */
export function segment(context: IExecuteFunctions, name: string, item: number): string {
	const found = text(context, name, item);
	if (found.trim() === '') {
		throw new NodeOperationError(context.getNode(), `The parameter ${name} is empty`, {
			itemIndex: item,
		});
	}
	return encodeURIComponent(found);
}

export function account(context: IExecuteFunctions, item: number): string {
	return text(context, 'account', item);
}

/** Returns what every request for an item has: the account, the wait, and the item that an error names. */
export function forItem(context: IExecuteFunctions, item: number) {
	return {
		account: account(context, item),
		waitSeconds: context.getNodeParameter('options.waitSeconds', item, 0) as number,
		itemIndex: item,
	};
}

/** Returns the key of this item in this run; Retry On Fail makes the same again. */
export function ownKey(context: IExecuteFunctions, item: number): string {
	return idempotencyKey({
		instanceId: context.getInstanceId(),
		executionId: context.getExecutionId(),
		nodeName: context.getNode().name,
		runIndex: Number(context.evaluateExpression('{{ $runIndex }}', item)),
		itemIndex: item,
	});
}

/** Returns the fields that the options add to the body of a send, with its key. */
export function sendFields(context: IExecuteFunctions, item: number): IDataObject {
	const options = context.getNodeParameter('options', item, {});
	const sendAt = String(options.sendAt ?? '');
	return {
		idempotency_key: String(options.idempotencyKey ?? '') || ownKey(context, item),
		...(options.priority ? { priority: options.priority } : {}),
		...(sendAt ? { send_at: withOffset(sendAt, context.getTimezone()) } : {}),
		...(options.expiresIn ? { expires_in: options.expiresIn } : {}),
		...(options.callbackUrl ? { callback_url: options.callbackUrl } : {}),
		...(options.split ? { split: true } : {}),
	};
}
