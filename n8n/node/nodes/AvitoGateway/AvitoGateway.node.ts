import {
	NodeConnectionTypes,
	type IExecuteFunctions,
	type ILoadOptionsFunctions,
	type INodeExecutionData,
	type INodePropertyOptions,
	type INodeType,
	type INodeTypeDescription,
} from 'n8n-workflow';

import { sendBulk } from './bulk';
import { chatOperations, chatProperties } from './chats';
import { commandOperations, commandProperties } from './commands';
import { failed, nodeError } from './failures';
import { messageOperations, messageProperties } from './messages';
import type { Operation } from './parameters';
import { info } from './request';

const OPERATIONS: Record<string, Record<string, Operation>> = {
	chat: chatOperations,
	command: commandOperations,
	message: messageOperations,
};

export class AvitoGateway implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'Avito Gateway',
		name: 'avitoGateway',
		icon: {
			light: 'file:../../icons/avitoGateway.svg',
			dark: 'file:../../icons/avitoGateway.dark.svg',
		},
		group: ['output'],
		version: 1,
		subtitle: '={{$parameter["operation"] + ": " + $parameter["resource"]}}',
		description: 'Send messages to Avito chats and read them, through avito-gateway',
		defaults: { name: 'Avito Gateway' },
		usableAsTool: true,
		inputs: [NodeConnectionTypes.Main],
		outputs: [NodeConnectionTypes.Main],
		credentials: [{ name: 'avitoGatewayApi', required: true }],
		properties: [
			{
				displayName: 'Resource',
				name: 'resource',
				type: 'options',
				noDataExpression: true,
				options: [
					{ name: 'Chat', value: 'chat' },
					{ name: 'Command', value: 'command' },
					{ name: 'Message', value: 'message' },
				],
				default: 'message',
			},
			...messageProperties,
			...chatProperties,
			...commandProperties,
			{
				displayName: 'Account Name or ID',
				name: 'account',
				type: 'options',
				typeOptions: { loadOptionsMethod: 'getAccounts' },
				default: '',
				description:
					'Which Avito account, if the gateway has several. Choose from the list, or specify an ID using an <a href="https://docs.n8n.io/code/expressions/">expression</a>.',
			},
		],
	};

	methods = {
		loadOptions: {
			async getAccounts(this: ILoadOptionsFunctions): Promise<INodePropertyOptions[]> {
				const { accounts } = await info(this);
				const ids = accounts.map(({ user_id }) => String(user_id));
				return [
					{ name: 'First Account of the Gateway', value: '' },
					...ids.map((id) => ({ name: id, value: id })),
				];
			},
		},
	};

	/** In turn, so that the messages of a chat keep the order of the items. */
	async execute(this: IExecuteFunctions): Promise<INodeExecutionData[][]> {
		const resource = this.getNodeParameter('resource', 0);
		const operation = this.getNodeParameter('operation', 0);
		if (resource === 'message' && operation === 'sendBulk') return [await sendBulk(this)];

		const run = OPERATIONS[resource]?.[operation] as Operation;
		const results: INodeExecutionData[] = [];
		for (let item = 0; item < this.getInputData().length; item++) {
			try {
				for (const json of await run(this, item)) {
					results.push({ json, pairedItem: { item } });
				}
			} catch (error) {
				if (!this.continueOnFail()) throw nodeError(this, error as Error, item);
				results.push(failed(this, error as Error, item));
			}
		}
		return [results];
	}
}
